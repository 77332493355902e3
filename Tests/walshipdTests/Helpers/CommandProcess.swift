import Foundation
import TestSupport

@testable import walshipd

/// The real program with input, its output as bytes. `scratch` takes a directory for each process.
struct CommandProcess {
    struct Ended: CustomStringConvertible {
        var code: Int32?
        var bytes: [UInt8]
        var error: String
        var description: String { "code \(code.map { "\($0)" } ?? "none (a signal)"), output \(output.prefix(600)), error \(error.prefix(600))" }
        var output: String { String(decoding: bytes, as: UTF8.self) }
        var lines: [String] { output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) }
    }

    let process: ChildProcess

    init(_ arguments: [String], input: ChildProcess.Input = .null, executable: String = Program.walshipd, in scratch: String) throws {
        let directory = "\(scratch)/\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        process = try ChildProcess(
            executable, arguments, in: directory, environment: ["SWIFT_BACKTRACE": "enable=no"], input: input)
    }

    /// What it has written so far.
    var bytes: [UInt8] { FileManager.default.contents(atPath: process.standardOutputPath).map { [UInt8]($0) } ?? [] }

    /// Whole lines that it has written so far.
    var lines: [String] {
        let bytes = bytes
        guard let end = bytes.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        return String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    func ended() async throws -> Ended {
        let exit = try await process.waitForExit(within: .seconds(60))
        var code: Int32?
        if case .exited(let number) = exit { code = number }
        return Ended(code: code, bytes: bytes, error: process.standardError)
    }

    static func run(_ arguments: [String], input: [UInt8] = [], in scratch: String) async throws -> Ended {
        let file = "\(scratch)/\(UUID().uuidString).in"
        try Data(input).write(to: URL(filePath: file))
        return try await CommandProcess(arguments, input: .file(file), in: scratch).ended()
    }

    static func run(_ arguments: [String], input: String, in scratch: String) async throws -> Ended {
        try await run(arguments, input: Array(input.utf8), in: scratch)
    }
}
