import Synchronization

/// Watches the durable LSN of a log that another process writes, for everybody in this process who waits for it.
///
/// One thread, started with the first wait and asleep while nobody waits. The writer wakes it (futex(2) on the live page) after each flush;
/// it also looks by itself every `LogLimits.liveLookMax`, because a writer can die without a word. Only this thread waits on the mapping,
/// and `stop` joins it before the page goes.
final class LiveWatch: Sendable {
    /// What the thread keeps alive: never its owner.
    private final class Shared: Sendable {
        let files: ReaderFiles
        let waiters = PositionWaiters(at: .zero)
        let wakeup = Parker()
        let isStopping = Atomic(false)

        init(_ files: ReaderFiles) { self.files = files }

        func run() {
            while !isStopping.load(ordering: .acquiring) {
                guard waiters.count > 0 else {
                    wakeup.park()
                    continue
                }
                // In this order: what became durable before the writer ended is told first, and no change is slept through.
                let seen = files.control.live.durable
                let cause = writerEnd()
                // Damage of the control file is for those who read; a wait ends by its own rules.
                if let durable = try? files.durableLSN() { waiters.advance { durable } }
                if let cause { waiters.endThoseWithWriter(.stopped(cause: cause)) }
                if waiters.count > 0 { files.control.live.wait(whileDurableIs: seen, nanoseconds: LogLimits.liveLookMax) }
            }
        }

        /// Why nobody makes anything durable now; nil while somebody may.
        private func writerEnd() -> StopCause? {
            if files.isLive && files.control.live.isStopped { return .writerFailed }
            do throws(WALError) {
                return try LogLock.writer(files.paths, files.fileSystem) == nil ? .noWriter : nil
            } catch {
                // It is not known that nobody writes: look again.
                return nil
            }
        }
    }

    private let shared: Shared
    private let thread = Mutex<NamedThread?>(nil)

    init(files: ReaderFiles) { shared = Shared(files) }

    deinit { stop() }

    /// See `PositionWaiters.wait`. `.stopped` after `stop`.
    func wait(for target: LSN, nanoseconds: UInt64?) throws(WALError) -> PositionWaiters.Outcome? {
        try start()
        return shared.waiters.wait(for: target, nanoseconds: nanoseconds, begun: shared.wakeup.unpark)
    }

    /// `endsWithWriter`: whether a wait ends when nobody writes the log any more, or goes on until somebody does again.
    func wait(for target: LSN, endsWithWriter: Bool) async throws(WALError) -> PositionWaiters.Outcome {
        try start()
        let wakeup = shared.wakeup
        return await shared.waiters.wait(for: target, endsWithWriter: endsWithWriter, begun: { wakeup.unpark() })
    }

    private func start() throws(WALError) {
        try thread.withLock { thread throws(WALError) in
            guard thread == nil, !shared.isStopping.load(ordering: .acquiring) else { return }
            let shared = shared
            thread = try NamedThread(name: "wal-watch") { shared.run() }
        }
    }

    var isStopped: Bool { shared.isStopping.load(ordering: .acquiring) }

    /// Every wait ends with `.stopped`; returns when the thread has ended.
    func stop() {
        let thread = thread.withLock { thread in
            shared.isStopping.store(true, ordering: .releasing)
            defer { thread = nil }
            return thread
        }
        shared.waiters.end(.stopped(cause: .closed))
        guard let thread else { return }
        shared.wakeup.unpark()
        shared.files.control.live.wakeWaiters()
        thread.join()
    }
}
