import Foundation
import Glibc
import Synchronization

/// A program that a test runs: started with posix_spawn(3), its output in files, ended with SIGKILL at the latest when the object
/// goes, and also when the test process itself dies: a watchdog (a shell that waits on a pipe which only the test process
/// holds) kills it then. Safe from any task; nothing here blocks but `kill`, and that briefly.
package final class ChildProcess: Sendable {
    package enum Exit: Hashable, Sendable {
        case exited(Int32)
        case signalled(Int32)
    }

    package enum Input: Sendable {
        case null
        case file(String)
        /// What `write` gives it, until `closeInput`.
        case pipe
    }

    package let pid: Int32
    package let standardOutputPath: String
    package let standardErrorPath: String
    private let command: String

    private struct State {
        var exit: Exit?
        var input: Int32
        var watchdog: pid_t
        var watchdogPipe: Int32
    }
    private let state: Mutex<State>

    /// `executable` is looked up in PATH (and in the sbin directories) unless it has a slash. Output goes to `stdout` and
    /// `stderr` in `directory`. `environment` is added to the test's own. Throws when the program cannot be started.
    package init(
        _ executable: String, _ arguments: [String], in directory: String, environment: [String: String] = [:],
        input: Input = .null,
        workingDirectory: String? = nil
    ) throws {
        ChildProcess.ignoreBrokenPipes
        guard let path = ChildProcess.find(executable) else { throw ServerError("there is no program \(executable)") }
        command = ([executable] + arguments).joined(separator: " ")
        standardOutputPath = "\(directory)/stdout"
        standardErrorPath = "\(directory)/stderr"

        var spawn = Spawn()
        defer { spawn.destroy() }
        var ends: (read: Int32, write: Int32) = (-1, -1)
        switch input {
        case .null: spawn.open(0, "/dev/null", O_RDONLY)
        case .file(let path): spawn.open(0, path, O_RDONLY)
        case .pipe:
            ends = try ChildProcess.makePipe()
            spawn.duplicate(ends.read, to: 0)
        }
        defer { if ends.read >= 0 { close(ends.read) } }
        spawn.open(1, standardOutputPath, O_WRONLY | O_CREAT | O_TRUNC)
        spawn.open(2, standardErrorPath, O_WRONLY | O_CREAT | O_TRUNC)
        do {
            // env(1) changes the directory and becomes the program: the number stays. The C call for it is hidden from Swift.
            pid =
                if let workingDirectory {
                    try spawn.run("/usr/bin/env", ["env", "-C", workingDirectory, path] + arguments, environment)
                } else {
                    try spawn.run(path, [executable] + arguments, environment)
                }
        } catch {
            if ends.write >= 0 { close(ends.write) }
            throw error
        }
        let (watchdog, pipe): (pid_t, Int32)
        do {
            (watchdog, pipe) = try ChildProcess.startWatchdog(over: pid)
        } catch {
            _ = Glibc.kill(pid, SIGKILL)
            _ = waitpid(pid, nil, 0)
            if ends.write >= 0 { close(ends.write) }
            throw error
        }
        state = Mutex(State(exit: nil, input: ends.write, watchdog: watchdog, watchdogPipe: pipe))
    }

    deinit { kill() }

    // MARK: Its end

    /// How it ended; nil while it runs.
    package var exit: Exit? {
        state.withLock { state in
            reap(&state, options: WNOHANG)
            return state.exit
        }
    }

    package var isRunning: Bool { exit == nil }

    package func waitForExit(within limit: Duration = .seconds(90)) async throws -> Exit {
        try await waitUntil("\(command) ends; \(tail)", within: limit) { exit != nil }
        guard let exit else { throw ServerError("\(command) has not ended") }
        return exit
    }

    /// Does nothing once it has been seen to end: the number may be somebody else's by then.
    package func signal(_ number: Int32) {
        state.withLock { state in
            reap(&state, options: WNOHANG)
            if state.exit == nil { _ = Glibc.kill(pid, number) }
        }
    }

    /// SIGTERM, and SIGKILL where that is not enough within `limit`.
    @discardableResult
    package func terminate(within limit: Duration = .seconds(10)) async throws -> Exit {
        signal(SIGTERM)
        do {
            return try await waitForExit(within: limit)
        } catch {
            kill()
            throw error
        }
    }

    /// SIGKILL; it is gone on return.
    package func kill() {
        state.withLock { state in
            reap(&state, options: WNOHANG)
            guard state.exit == nil else { return }
            _ = Glibc.kill(pid, SIGKILL)
            reap(&state, options: 0)
        }
    }

    private func reap(_ state: inout State, options: Int32) {
        guard state.exit == nil else { return }
        var status: Int32 = 0
        var result: pid_t
        repeat { result = waitpid(pid, &status, options) } while result == -1 && errno == EINTR
        guard result == pid else { return }
        // WIFEXITED, WEXITSTATUS and WTERMSIG, which are macros.
        state.exit = status & 0x7F == 0 ? .exited(status >> 8 & 0xFF) : .signalled(status & 0x7F)
        if state.input >= 0 { close(state.input) }
        state.input = -1
        // The watchdog goes before its pipe does, so it can never act on a number that is somebody else's.
        _ = Glibc.kill(state.watchdog, SIGKILL)
        _ = waitpid(state.watchdog, nil, 0)
        close(state.watchdogPipe)
    }

    // MARK: Its input and output

    /// To its standard input (`.pipe`). Blocks while the pipe is full; false when it no longer reads.
    @discardableResult
    package func write(_ bytes: [UInt8]) -> Bool {
        let input = state.withLock { $0.input }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(input, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                return false
            }
            rest = rest.dropFirst(count)
        }
        return true
    }

    package func closeInput() {
        state.withLock { state in
            if state.input >= 0 { close(state.input) }
            state.input = -1
        }
    }

    package var standardOutput: String { ChildProcess.text(standardOutputPath) }
    package var standardError: String { ChildProcess.text(standardErrorPath) }

    /// The end of what it wrote, for messages.
    package var tail: String {
        let text = standardError + standardOutput
        return text.isEmpty ? "it wrote nothing" : "it wrote: …\(text.suffix(800))"
    }

    private static func text(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    // MARK: Starting

    /// Where a program lies; nil where it is not installed.
    package static func find(_ executable: String) -> String? {
        if executable.contains("/") { return access(executable, X_OK) == 0 ? executable : nil }
        let places = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/local/sbin:/usr/sbin:/sbin"
        return places.split(separator: ":").map { "\($0)/\(executable)" }.first { access($0, X_OK) == 0 }
    }

    /// A child that has closed its input must not end the test process.
    private static let ignoreBrokenPipes: Void = { Glibc.signal(SIGPIPE, SIG_IGN) }()

    /// Held while a pipe or connection is made and while a child is started: between pipe(2) or accept(2) and the close-on-exec mark no
    /// child may come into being, which would keep it open.
    static let spawning = Mutex(())

    private static func makePipe() throws -> (read: Int32, write: Int32) {
        try spawning.withLock { _ in
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw ServerError("pipe failed: errno \(errno)") }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            return (ends[0], ends[1])
        }
    }

    /// `read` returns when the last writer of the pipe is gone, which is the test process.
    private static func startWatchdog(over pid: pid_t) throws -> (pid_t, Int32) {
        let (read, write) = try makePipe()
        defer { close(read) }
        var spawn = Spawn()
        defer { spawn.destroy() }
        spawn.duplicate(read, to: 0)
        spawn.open(1, "/dev/null", O_WRONLY)
        spawn.open(2, "/dev/null", O_WRONLY)
        do {
            return (try spawn.run("/bin/sh", ["sh", "-c", "read line; kill -9 \(pid)"], [:]), write)
        } catch {
            close(write)
            throw error
        }
    }
}

/// posix_spawn's two C structures, with what every child here gets: no blocked and no ignored signals.
private struct Spawn {
    private var actions = posix_spawn_file_actions_t()
    private var attributes = posix_spawnattr_t()

    init() {
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
    }

    mutating func destroy() {
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
    }

    mutating func open(_ descriptor: Int32, _ path: String, _ flags: Int32) {
        posix_spawn_file_actions_addopen(&actions, descriptor, path, flags, 0o644)
    }

    mutating func duplicate(_ from: Int32, to descriptor: Int32) {
        posix_spawn_file_actions_adddup2(&actions, from, descriptor)
    }

    mutating func run(_ path: String, _ arguments: [String], _ environment: [String: String]) throws -> pid_t {
        let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = merged.map { strdup("\($0)=\($1)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        var pid: pid_t = 0
        let code = ChildProcess.spawning.withLock { _ in posix_spawn(&pid, path, &actions, &attributes, &argv, &envp) }
        guard code == 0 else { throw ServerError("\(path) could not be started: \(String(cString: strerror(code)))") }
        return pid
    }
}
