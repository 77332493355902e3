import Foundation
import TestSupport

/// A child process as many tests want it: run to its end, its exit code and all of its output together. Killed at the latest when the object goes.
final class Program: Sendable {
    private let process: ChildProcess

    /// Starts `executable`, found in PATH if it has no slash. `directory` takes a directory of its own for its output.
    init(_ executable: String, _ arguments: [String], in directory: String, environment: [String: String] = [:]) throws {
        let own = "\(directory)/\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: false)
        process = try ChildProcess(
            executable, arguments, in: own, environment: environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { given, _ in given })
    }

    /// The program under test, which the build puts beside the tests.
    static var walshipd: String {
        URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "walshipd").path
    }

    var isRunning: Bool { process.isRunning }
    func signal(_ number: Int32) { process.signal(number) }

    /// What it has written so far.
    var standardOutput: String { process.standardOutput }
    var standardError: String { process.standardError }

    struct Ended: Equatable {
        /// The number of the signal where one ended it.
        var code: Int32
        var output: String
        var error: String
    }

    /// Waits for the end.
    func ended(seconds: Double = 60) async throws -> Ended {
        let code =
            switch try await process.waitForExit(within: .seconds(seconds)) {
            case .exited(let code): code
            case .signalled(let signal): signal
            }
        return Ended(code: code, output: standardOutput, error: standardError)
    }

    static func run(
        _ executable: String, _ arguments: [String], in directory: String, environment: [String: String] = [:]
    ) async throws -> Ended {
        try await Program(executable, arguments, in: directory, environment: environment).ended()
    }
}
