import Foundation

/// A running `walshipd serve` on a port of its own, and curl to talk to it.
final class ServeProcess: Sendable {
    let program: Program
    let url: String
    private let directory: String

    struct NotListening: Error { var error: String }

    /// `wrapper` is what comes before the program on the command line (a shell that mounts something first).
    init(root: String, in directory: String, _ options: [String] = [], wrapper: [String] = []) async throws {
        self.directory = directory
        let command = wrapper + [Program.walshipd, "serve", "--root", root, "--listen", "127.0.0.1:0"] + options
        let program = try Program(command[0], Array(command.dropFirst()), in: directory)
        self.program = program
        guard try await wait(until: { program.standardOutput.hasSuffix("\n") || !program.isRunning }),
            let line = program.standardOutput.split(separator: "\n").first,
            line.hasPrefix("listening on http://127.0.0.1:")
        else { throw NotListening(error: program.standardError) }
        url = String(line.dropFirst("listening on ".count))
    }

    struct Reply: Equatable {
        var status: Int
        var body: Data
        var headers: [String: String]
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    func startCurl(_ path: String, _ arguments: [String], files name: String) throws -> Program {
        try Program(
            "curl",
            [
                "-sS", "--path-as-is", "--max-time", "60", "-o", "\(directory)/\(name).body", "-D", "\(directory)/\(name).head",
                "-w", "%{http_code}",
            ]
                + arguments + [url + path],
            in: directory)
    }

    func reply(of curl: Program, files name: String) async throws -> Reply {
        let ended = try await curl.ended()
        let body = FileManager.default.contents(atPath: "\(directory)/\(name).body") ?? Data()
        let head = FileManager.default.contents(atPath: "\(directory)/\(name).head") ?? Data()
        var headers: [String: String] = [:]
        for line in String(decoding: head, as: UTF8.self).split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        return Reply(status: Int(ended.output) ?? -1, body: body, headers: headers)
    }

    @discardableResult
    func curl(_ path: String, _ arguments: String...) async throws -> Reply {
        let name = UUID().uuidString
        return try await reply(of: startCurl(path, arguments, files: name), files: name)
    }

    /// PUT of `bytes`.
    @discardableResult
    func put(_ path: String, _ bytes: Data, _ headers: String...) async throws -> Reply {
        let name = UUID().uuidString
        try bytes.write(to: URL(filePath: "\(directory)/\(name).in"))
        let fields = headers.flatMap { ["-H", $0] }
        return try await reply(of: startCurl(path, ["-T", "\(directory)/\(name).in"] + fields, files: name), files: name)
    }

    func stop() async throws -> Program.Ended {
        program.signal(SIGTERM)
        return try await program.ended()
    }
}

/// Bytes that repeat with a long period, so that a shifted or swapped piece shows.
func pattern(_ count: Int, seed: UInt64 = 1) -> Data {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    var bytes = Data(capacity: count + 8)
    while bytes.count < count {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        withUnsafeBytes(of: state.littleEndian) { bytes.append(contentsOf: $0) }
    }
    return bytes.prefix(count)
}
