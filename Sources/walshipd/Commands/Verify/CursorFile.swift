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
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else { return nil }
        if isDirectory.boolValue { throw CommandError(.usage, "the cursor file \(path) is a directory; name a file in it") }
        let data: Data?
        do {
            data = try FileHandle(forReadingFrom: URL(filePath: path)).read(upToCount: CursorDocument.sizeMax + 1)
        } catch {
            throw CommandError(.usage, "the cursor file \(path) cannot be read: \(SmallFile.reason(error))")
        }
        do throws(ArchiveError) {
            return try CursorDocument(decoding: Array(data ?? Data()), key: Self.key)
        } catch {
            throw CommandError(.usage, "the cursor file \(path) cannot be used: \(error.message); remove it to have everything read")
        }
    }

    /// Before an archive is read for hours: that what is found can be kept. Throws where the file's directory is missing or cannot be written.
    func requirePlace() throws {
        let directory = URL(filePath: path).deletingLastPathComponent().path
        guard FileManager.default.isWritableFile(atPath: directory) else {
            throw CommandError(.usage, "the cursor file \(path) cannot be written: there is no directory \(directory), or no right to write there")
        }
    }

    func write(_ cursor: CursorDocument) throws {
        let bytes = try cursor.encoded(for: Self.key)
        do {
            try Data(bytes).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw CommandError(.failed, "the cursor file \(path) cannot be written: \(SmallFile.reason(error)); what was read of the archive is read again next time")
        }
    }
}
