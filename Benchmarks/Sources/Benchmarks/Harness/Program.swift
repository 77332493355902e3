import Foundation
import Glibc
import Synchronization

/// A program that is measured from outside, as its users would. Killed at the latest when the object goes.
final class Program: Sendable {
    private let process: Process
    let identifier: Int32
    private let errors: String

    /// Starts `executable`, found in PATH where it has no slash. What it says goes to a file at `errors`.
    init(_ executable: String, _ arguments: [String], errors: String, environment: [String: String] = [:]) throws {
        process = Process()
        process.executableURL = URL(filePath: executable.contains("/") ? executable : "/usr/bin/env")
        process.arguments = executable.contains("/") ? arguments : [executable] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        guard FileManager.default.createFile(atPath: errors, contents: nil) else { throw BenchmarkError.notAsExpected("\(errors) cannot be written") }
        process.standardError = try FileHandle(forWritingTo: URL(filePath: errors))
        self.errors = errors
        try process.run()
        identifier = process.processIdentifier
    }

    deinit { if process.isRunning { kill(identifier, SIGKILL) } }

    /// The daemon, which the build puts beside this program.
    static func walshipd() throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return URL(filePath: own).deletingLastPathComponent().appending(path: "walshipd").path
    }

    var isRunning: Bool { process.isRunning }

    /// Waits for the end, which is to be with status 0.
    func finish() throws {
        process.waitUntilExit()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            let said = (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
            throw BenchmarkError.notAsExpected("a program ended with \(process.terminationStatus): \(said.suffix(600))")
        }
    }

    func end(by signal: Int32) throws {
        kill(identifier, signal)
        process.waitUntilExit()
    }

    /// Anonymous memory now, in bytes: proc(5), status, RssAnon. Nil when it has ended.
    var anonymousMemory: Double? {
        guard let status = try? String(contentsOfFile: "/proc/\(identifier)/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") })
        else { return nil }
        return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Double($0) }.map { $0 * 1024 }
    }

    /// Processor time of all its threads so far, in seconds: proc(5), stat, fields 14 and 15, in ticks of a hundredth of a second.
    var processorSeconds: Double? {
        guard let stat = try? String(contentsOfFile: "/proc/\(identifier)/stat", encoding: .utf8), let name = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: name)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Processor time of all children that have ended and were waited for, and of theirs: getrusage(2), RUSAGE_CHILDREN.
    static func secondsOfChildren() -> Double {
        var usage = rusage()
        getrusage(RUSAGE_CHILDREN.rawValue, &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// Runs it to its end.
    struct Run {
        var nanoseconds: Double
        var processorSeconds: Double
        /// The most that was seen, looking every 5 ms.
        var anonymousMemory: Double
    }

    static func run(_ executable: String, _ arguments: [String], errors: String) throws -> Run {
        let before = secondsOfChildren()
        let start = Clock.now()
        let program = try Program(executable, arguments, errors: errors)
        let peak = Atomic<Int>(0)
        let watch = Thread {
            while let memory = program.anonymousMemory {
                peak.store(max(peak.load(ordering: .relaxed), Int(memory)), ordering: .relaxed)
                usleep(5000)
            }
        }
        watch.start()
        try program.finish()
        let end = Clock.now()
        return Run(
            nanoseconds: Double(end - start), processorSeconds: secondsOfChildren() - before, anonymousMemory: Double(peak.load(ordering: .relaxed)))
    }
}
