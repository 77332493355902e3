import Foundation

/// Real text from this machine, gathered into one file so that it stays the same while the demo runs: package lists, documentation, logs, and
/// what else of text there is until it is enough.
struct DemoText: Sendable {
    let path: String
    let bytes: Int
    let lines: Int
    let files: Int

    private static let roots = [
        "/var/lib/apt/lists", "/var/lib/dpkg", "/usr/share/doc", "/var/log", "/usr/share", "/usr/include", "/usr/lib", "/opt",
    ]

    /// Gathers at least `wanted` bytes if the machine has them; whole lines only.
    static func gather(into path: String, bytes wanted: Int) throws -> DemoText {
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let output = FileHandle(forWritingAtPath: path)
        else { throw CommandError(.failed, "cannot write \(path); give another place with --dir") }
        defer { try? output.close() }
        var bytes = 0
        var lines = 0
        var files = 0
        var seen: Set<String> = []
        for root in roots where bytes < wanted {
            guard let names = FileManager.default.enumerator(atPath: root) else { continue }
            while bytes < wanted, let name = names.nextObject() as? String {
                let file = root + "/" + name
                guard names.fileAttributes?[.type] as? FileAttributeType == .typeRegular, seen.insert(file).inserted,
                    let size = names.fileAttributes?[.size] as? Int, (1...DemoLimits.textFileMax).contains(size),
                    // Some files cannot be read, or vanish: there are enough others.
                    var text = FileManager.default.contents(atPath: file), isText(text)
                else { continue }
                if text.last != UInt8(ascii: "\n") { text.append(UInt8(ascii: "\n")) }
                try output.write(contentsOf: text)
                bytes += text.count
                lines += text.reduce(0) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) }
                files += 1
            }
        }
        guard lines > 0 else { throw CommandError(.failed, "found no text on this machine to write") }
        return DemoText(path: path, bytes: bytes, lines: lines, files: files)
    }

    private static func isText(_ data: Data) -> Bool { !data.prefix(DemoLimits.textProbe).contains(0) }
}

/// Reads the gathered text line by line, or in chunks of whole lines from a given line on.
struct DemoTextReader {
    private let file: FileHandle
    private var buffer = Data()
    private var atEnd = false

    init(_ text: DemoText) throws {
        guard let file = FileHandle(forReadingAtPath: text.path) else { throw CommandError(.failed, "cannot read \(text.path)") }
        self.file = file
    }

    /// The next chunk of whole lines, with how many; nil at the end.
    mutating func nextChunk() throws -> (bytes: [UInt8], lines: Int)? {
        while true {
            if let last = buffer.lastIndex(of: UInt8(ascii: "\n")) {
                let chunk = [UInt8](buffer[...last])
                buffer = Data(buffer[buffer.index(after: last)...])
                return (chunk, chunk.reduce(0) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) })
            }
            guard let more = try file.read(upToCount: DemoLimits.chunkSize), !more.isEmpty else { return nil }
            buffer.append(more)
        }
    }

    func close() throws { try file.close() }
}
