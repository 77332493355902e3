import Foundation
import Glibc
import TestSupport
import Testing

/// A LogDriver: a process of its own that has a log, asked line by line.
struct Driver {
    let process: ChildProcess
    private let directory: String

    static var program: String {
        URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "LogDriver").path
    }

    /// `setup` is run by a shell before the program takes its place, in a mount namespace of its own where `mounts`: what is mounted there is gone with
    /// the process, however that ends. `tracer` is what stands before the program.
    init(in directory: String, setup: String = "", mounts: Bool = false, tracer: [String] = []) throws {
        let place = "\(directory)/\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        self.directory = place
        let words = (tracer + [Driver.program]).map { "'\($0)'" }.joined(separator: " ")
        let shell = ["/bin/bash", "-c", "set -e; cd '\(directory)'; \(setup)\nexec \(words)"]
        let command = (mounts ? ["unshare", "-m"] : []) + shell
        process = try ChildProcess(
            command[0], Array(command.dropFirst()), in: place, environment: ["SWIFT_BACKTRACE": "enable=no"], input: .pipe)
    }

    /// What it has answered so far, whole lines.
    var lines: [String] {
        process.standardOutput.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    /// Sends a command that is not answered.
    func send(_ command: String) { process.write(Array("\(command)\n".utf8)) }

    /// Sends a command and waits for its answer.
    @discardableResult
    func ask(_ command: String, within limit: Duration = .seconds(60)) async throws -> String {
        let before = lines.count
        send(command)
        try await waitUntil("the answer to \(command); \(process.tail)", within: limit) {
            lines.count > before || !process.isRunning
        }
        guard lines.count > before else { throw ServerError("no answer to \(command): \(process.tail)") }
        return lines[before]
    }

    /// The numbers of an answer that must be `ok`.
    func expect(_ command: String, within limit: Duration = .seconds(60), sourceLocation: SourceLocation = #_sourceLocation) async throws -> [UInt64] {
        let answer = try await ask(command, within: limit)
        #expect(answer.hasPrefix("ok"), "\(command): \(answer)", sourceLocation: sourceLocation)
        return answer.split(separator: " ").compactMap { UInt64($0) }
    }

    /// Runs a shell's line where the process sees its mounts.
    func inside(_ line: String) async throws {
        let place = "\(directory)/\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let shell = try ChildProcess("nsenter", ["-m", "-t", "\(process.pid)", "sh", "-c", line], in: place)
        let exit = try await shell.waitForExit()
        guard exit == .exited(0) else { throw ServerError("\(line): \(exit), \(shell.tail)") }
    }

    /// A path as that process sees it.
    func path(_ path: String) -> String { "/proc/\(process.pid)/root\(path)" }

    /// No more commands; it ends.
    func finish() async throws {
        process.closeInput()
        _ = try await process.waitForExit()
    }
}
