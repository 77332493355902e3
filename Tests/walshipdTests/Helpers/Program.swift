import Foundation
import Synchronization

/// A child process with its output in files. Killed at the latest when the object goes.
final class Program: Sendable {
    private let process: Process
    private let output: String
    private let error: String

    /// Starts `executable`, found in PATH if it has no slash. `directory` takes the files for its output.
    init(_ executable: String, _ arguments: [String], in directory: String, environment: [String: String] = [:]) throws {
        let name = UUID().uuidString
        output = "\(directory)/\(name).out"
        error = "\(directory)/\(name).err"
        process = Process()
        if executable.contains("/") {
            process.executableURL = URL(filePath: executable)
            process.arguments = arguments
        } else {
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = [executable] + arguments
        }
        var all = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("WALSHIPD_") }
        all.merge(environment) { _, new in new }
        all["SWIFT_BACKTRACE"] = "enable=no"
        process.environment = all
        for path in [output, error] { try Data().write(to: URL(filePath: path)) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: URL(filePath: output))
        process.standardError = try FileHandle(forWritingTo: URL(filePath: error))
        try process.run()
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    /// The program under test, which the build puts beside the tests.
    static var walshipd: String {
        URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "walshipd").path
    }

    var isRunning: Bool { process.isRunning }
    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    func standardOutput() throws -> String { try String(contentsOfFile: output, encoding: .utf8) }
    func standardError() throws -> String { try String(contentsOfFile: error, encoding: .utf8) }

    struct Ended: Equatable {
        var code: Int32
        var output: String
        var error: String
    }
    struct StillRunning: Error {}

    /// Waits for the end.
    func ended(seconds: Double = 60) async throws -> Ended {
        guard try await wait(seconds: seconds, until: { !isRunning }) else { throw StillRunning() }
        return Ended(code: process.terminationStatus, output: try standardOutput(), error: try standardError())
    }

    static func run(
        _ executable: String, _ arguments: [String], in directory: String, environment: [String: String] = [:]
    ) async throws -> Ended {
        try await Program(executable, arguments, in: directory, environment: environment).ended()
    }
}
