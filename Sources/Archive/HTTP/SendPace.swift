internal import Synchronization
internal import WAL

/// The pace of one engine's uploads: `SendPacer` with a clock. Used on the engine's thread.
final class SendPace: Sendable {
    private let pacer: Mutex<SendPacer>
    private let time: any TimeSource

    init(bytesPerSecond: Int, time: any TimeSource = LinuxTimeSource()) {
        self.time = time
        pacer = Mutex(SendPacer(bytesPerSecond: bytesPerSecond, now: time.monotonic()))
    }

    func take(_ id: UInt64, wanted: Int) -> Int { pacer.withLock { $0.take(id, wanted: wanted, now: time.monotonic()) } }

    func ended(_ id: UInt64) { pacer.withLock { $0.ended(id) } }

    /// Who may go on now, and in how many milliseconds to ask again (nil: when somebody waits again).
    func turn() -> (resumed: [UInt64], milliseconds: Int?) {
        pacer.withLock { pacer in
            var resumed: [UInt64] = []
            while true {
                switch pacer.next(now: time.monotonic(), resumed: resumed.count) {
                case .nothing: return (resumed, nil)
                case .resume(let id): resumed.append(id)
                case .wait(let nanoseconds): return (resumed, Int(nanoseconds / 1_000_000) + 1)
                }
            }
        }
    }
}
