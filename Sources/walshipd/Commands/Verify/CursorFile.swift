import Archive
import Foundation

/// The file in which `verify --archive` remembers what it has read.
///
/// Replaced as a whole. It carries a checksum, so what a crash leaves is recognised, and costs no more than reading everything once.
struct CursorFile {
    let path: String

    /// What errors of the document's own are said of.
    private static let key = ObjectKey("cursor")

    /// Nil where there is none.
    func read() throws -> CursorDocument? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let data: Data?
        do {
            data = try FileHandle(forReadingFrom: URL(filePath: path)).read(upToCount: CursorDocument.sizeMax + 1)
        } catch {
            throw CommandError(.usage, "the cursor file \(path) cannot be read: \(error.localizedDescription)")
        }
        do throws(ArchiveError) {
            return try CursorDocument(decoding: Array(data ?? Data()), key: Self.key)
        } catch {
            throw CommandError(.usage, "the cursor file \(path) cannot be used: \(error.message); remove it to have everything read")
        }
    }

    func write(_ cursor: CursorDocument) throws {
        let bytes = try cursor.encoded(for: Self.key)
        do {
            try Data(bytes).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw CommandError(.failed, "the cursor file \(path) cannot be written: \(error.localizedDescription); the archive is as said before")
        }
    }
}
