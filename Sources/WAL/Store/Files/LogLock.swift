import Glibc

/// The locks of a log: one writer, any number of attached readers, and short maintenance.
///
/// Open-file-description locks (fcntl(2), F_OFD_SETLK): they end with the process, and a probe does not disturb them.
enum LogLock {
    static let writerByte: UInt64 = 0
    static let attachedByte: UInt64 = 1
    /// Held, shared, by everybody who has appends wait.
    static let blockingByte: UInt64 = 2

    /// Takes the writer's lock and writes down who has it. `.locked` names the other.
    static func takeWriter(_ paths: LogPaths, _ fileSystem: any FileSystem) throws(WALError) -> any File {
        let file = try fileSystem.open(paths.lock, .createIfAbsent)
        guard try file.tryLock(byte: writerByte, .exclusive) else {
            let holder = try currentHolder(file)
            file.close()
            throw .locked(holder: holder)
        }
        let text = Array("\(describeSelf())\n".utf8)
        do throws(WALError) {
            try file.write(text, at: 0)
            try file.truncate(to: UInt64(text.count))
        } catch .noSpace {
            // The lock is what counts; a log opens on a full disk, too.
        }
        return file
    }

    /// Announces a reader or sidecar. Nil where there is no lock file and none can be made: whose directory cannot be written to cannot be
    /// truncated either.
    static func attach(_ paths: LogPaths, _ fileSystem: any FileSystem) throws(WALError) -> (any File)? {
        // A restored log was never opened for writing and has none.
        let isThere = try fileSystem.status(paths.lock) != nil
        let file: any File
        do throws(WALError) {
            file = try fileSystem.open(paths.lock, isThere ? .read : .createIfAbsent)
        } catch .io(_, _, let code) where !isThere && [EROFS, EACCES, EPERM].contains(code) {
            return nil
        }
        guard try file.tryLock(byte: attachedByte, .shared) else {
            file.close()
            throw .locked(holder: "a truncation of the log's end, which needs every reader detached")
        }
        return file
    }

    /// Runs `body` while no reader or sidecar is attached, and none can attach. `lock` is the writer's.
    static func withNobodyAttached<T>(_ lock: any File, _ body: () throws(WALError) -> T) throws(WALError) -> T {
        guard try lock.tryLock(byte: attachedByte, .exclusive) else {
            throw .locked(holder: "a reader or sidecar that is attached; the log's end is truncated when every one has detached")
        }
        let result: Result<T, WALError> = Result { () throws(WALError) in try body() }
        do throws(WALError) {
            try lock.unlock(byte: attachedByte)
        } catch {
            // Not taken for a refusal: what was done is done.
            if case .success = result { throw .stopped(cause: StopCause(error)) }
        }
        return try result.get()
    }

    /// Who writes now; nil when nobody does.
    static func writer(_ paths: LogPaths, _ fileSystem: any FileSystem) throws(WALError) -> String? {
        guard try fileSystem.status(paths.lock) != nil else { return nil }
        let file = try fileSystem.open(paths.lock, .read)
        defer { file.close() }
        guard try file.isLockedByOther(byte: writerByte) else { return nil }
        return try readHolder(file)
    }

    /// Runs `body` as the only one who truncates, pins, recovers or repairs. Waits at most `LogLimits.maintenanceWaitMax`.
    static func underMaintenance<T>(
        _ paths: LogPaths, _ fileSystem: any FileSystem, _ time: any TimeSource, _ body: () throws(WALError) -> T
    ) throws(WALError) -> T {
        let file = try fileSystem.open(paths.maintenance, .createIfAbsent)
        defer { file.close() }
        var waited: UInt64 = 0
        let step: UInt64 = 1_000_000
        while try !file.tryLock(byte: 0, .exclusive) {
            guard waited < LogLimits.maintenanceWaitMax else { throw .locked(holder: "another process's maintenance of \(paths.name)") }
            time.sleep(nanoseconds: step)
            waited += step
        }
        return try body()
    }

    /// Who has the lock. It writes its name just after it got it: a name of a process that is gone is that of the one before.
    private static func currentHolder(_ file: any File) throws(WALError) -> String {
        for _ in 0..<holderReadingsMax {
            let holder = try readHolder(file)
            let words = holder.split(separator: " ")
            // kill(2) with signal 0 asks only; EPERM is an answer of one that lives.
            if words.count > 1, let pid = Int32(words[1]), pid > 0, kill(pid, 0) == 0 || errno == EPERM { return holder }
            LinuxTimeSource().sleep(nanoseconds: 1_000_000)
        }
        // In another process namespace, or on another machine.
        return try readHolder(file)
    }

    /// Milliseconds. A name is written within microseconds of the lock.
    private static let holderReadingsMax = 50

    private static func readHolder(_ file: any File) throws(WALError) -> String {
        let text = String(decoding: try file.bytes(at: 0, count: FormatLimits.lockTextMax), as: UTF8.self)
        let line = text.split(separator: "\n").first.map(String.init) ?? ""
        return line.isEmpty ? "another process" : line
    }

    private static func describeSelf() -> String {
        let host = ProcessName.host
        return "pid \(getpid()) \(ProcessName.program)\(host.isEmpty ? "" : " on \(host)")"
    }
}

/// How this process calls itself in lock files and claims.
package enum ProcessName {
    package static var program: String {
        let path = CommandLine.arguments.first ?? ""
        return path.split(separator: "/").last.map(String.init) ?? "unknown program"
    }

    /// gethostname(2).
    package static var host: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return "" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
