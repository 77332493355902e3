import Follower
import Foundation
import Synchronization
import WAL

/// A command that is given records on its standard input, in a shell, with the standard output and error of this program.
///
/// Writing blocks while it does not read: never on a thread of Swift's own. Safe from any thread; one gives at a time.
final class ConsumerProcess: Sendable {
    let command: String
    /// Ends when the command has ended, or who waits for that is cancelled.
    let end: AsyncStream<Never>
    private let process = Process()
    private let pipe = Pipe()
    private let isInputOpen = Mutex(true)

    /// How long a command may take to end after its input has: then it is told to, by SIGTERM, and after that long again it is killed. With it, whatever it has started
    /// and not given a process group of its own.
    let patience: Duration

    /// Starts it. `position`, where the first record comes from, is told in the environment as WALSHIPD_POSITION.
    init(_ command: String, position: LogPosition?, patience: Duration = .seconds(10)) throws {
        self.patience = patience
        self.command = command
        let (end, continuation) = AsyncStream<Never>.makeStream()
        self.end = end
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", command]
        var environment = ProcessInfo.processInfo.environment
        environment["WALSHIPD_POSITION"] = position.map { "\($0)" }
        process.environment = environment
        process.standardInput = pipe
        process.terminationHandler = { _ in continuation.finish() }
        do {
            try process.run()
        } catch {
            throw CommandError(.failed, "the command could not be started: \(command): \(error)")
        }
        // The other end is the command's: with ours open, writing to one that has ended would wait for ever.
        try? pipe.fileHandleForReading.close()
    }

    /// What goes to its standard input.
    var input: Output { Output(to: pipe.fileHandleForWriting.fileDescriptor, of: command) }

    /// No more comes. A second call does nothing.
    func closeInput() {
        isInputOpen.withLock { isOpen in
            if isOpen { try? pipe.fileHandleForWriting.close() }
            isOpen = false
        }
    }

    /// Has it end, unless it does by itself: also one that does not read what is being written to it, does not care for SIGTERM, or has left others behind that
    /// hold its input open.
    func endInTime() {
        // A process that is started by Foundation leads a group of its own (POSIX_SPAWN_SETPGROUP).
        let leader = process.processIdentifier
        for (number, forcibly) in [false, true].enumerated() {
            DispatchQueue.global().asyncAfter(deadline: .now() + patience.inSeconds * Double(number + 1)) { [weak self] in
                guard let self, process.isRunning || isInputOpen.withLock({ $0 }) else { return }
                ProcessGroup.end(leader: leader, forcibly: forcibly)
            }
        }
    }

    /// Closes its input and waits until it has ended, one way or the other: at most twice `patience`.
    func abandon(_ pool: BlockingPool) async throws {
        closeInput()
        endInTime()
        try await pool.run { self.process.waitUntilExit() }
    }

    /// Closes its input and waits for its end, for as long as it takes to make something of what it was given, unless `endInTime` was asked for. Throws where it failed.
    func finish(_ pool: BlockingPool) async throws {
        closeInput()
        try await pool.run { self.process.waitUntilExit() }
        guard process.terminationReason != .exit || process.terminationStatus != 0 else { return }
        throw failure("failed")
    }

    /// It has ended, or does not read, although there was more.
    func failure(_ what: String) -> CommandError {
        var words = ""
        if !process.isRunning {
            words = process.terminationReason == .exit ? " with exit code \(process.terminationStatus)" : " by signal \(process.terminationStatus)"
        }
        return CommandError(.failed, "the command \(what)\(words): \(command); what it has not stored a position for is given to it again")
    }
}
