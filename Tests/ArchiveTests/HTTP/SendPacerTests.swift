import Testing
import TestSupport

@testable import Archive

/// How much goes out and when, by counting with a clock of the test's own.
@Suite struct SendPacerTests {
    /// Uploads that always have more to send, driven as the engine drives them.
    private struct Machine {
        var pacer: SendPacer
        var now: UInt64 = 0
        /// Uploads that may ask.
        var ready: [UInt64] = []
        var sent: [UInt64: Int] = [:]
        var total: Int { sent.values.reduce(0, +) }

        init(rate: Int, uploads: Int) {
            pacer = SendPacer(bytesPerSecond: rate, now: 0)
            ready = (0..<uploads).map(UInt64.init)
        }

        /// Everything that can happen up to `end`.
        mutating func run(until end: UInt64, wanted: Int = 1 << 20) {
            while true {
                while let id = ready.popLast() {
                    let granted = pacer.take(id, wanted: wanted, now: now)
                    if granted == 0 { continue }
                    sent[id, default: 0] += granted
                    ready.insert(id, at: 0)
                }
                var resumed = 0
                turn: while true {
                    switch pacer.next(now: now, resumed: resumed) {
                    case .nothing: break turn
                    case .resume(let id):
                        ready.append(id)
                        resumed += 1
                    case .wait(let nanoseconds):
                        if resumed == 0 {
                            guard now + nanoseconds <= end else {
                                now = end
                                return
                            }
                            now += nanoseconds
                        }
                        break turn
                    }
                }
            }
        }
    }

    @Test(arguments: [64 << 10, 1 << 20, 5_000_001, 1 << 30], [1, 2, 7, 64])
    func theSumIsTheRateWhateverTheNumber(_ rate: Int, _ uploads: Int) {
        var machine = Machine(rate: rate, uploads: uploads)
        let seconds = rate > 1 << 24 ? 1 : 20
        machine.run(until: UInt64(seconds) * 1_000_000_000)
        let burst = 2 * machine.pacer.piece
        #expect(machine.total <= rate * seconds + burst, "never more than the rate and one bucket")
        #expect(machine.total >= rate * seconds - burst, "and not less: \(machine.total) of \(rate * seconds)")
        let shares = machine.sent.values
        #expect(shares.max()! - shares.min()! <= 2 * machine.pacer.piece, "even shares: \(shares.min()!) to \(shares.max()!)")
    }

    @Test func theSumStaysWhenTheNumberChanges() {
        var machine = Machine(rate: 1 << 20, uploads: 1)
        var before = 0
        for second in 1...12 {
            machine.run(until: UInt64(second) * 1_000_000_000)
            #expect(abs(machine.total - before - (1 << 20)) <= 2 * machine.pacer.piece, "second \(second)")
            before = machine.total
            // More, then fewer.
            if second < 6 { machine.ready += (0..<UInt64(second)).map { UInt64(second) * 100 + $0 } } else if let id = machine.pacer.waiting.last { machine.pacer.ended(id) }
        }
    }

    @Test func whatWasNotUsedDoesNotComeAsABurst() {
        var pacer = SendPacer(bytesPerSecond: 1 << 20, now: 0)
        var sent = 0
        let later: UInt64 = 3_600_000_000_000
        while case let granted = pacer.take(1, wanted: 1 << 20, now: later), granted > 0 { sent += granted }
        #expect(sent == 2 * pacer.piece)
        #expect(pacer.waiting == [1])
    }

    @Test func smallBodiesAreCountedAsWhatTheyAre() {
        var machine = Machine(rate: 64 << 10, uploads: 3)
        machine.run(until: 10_000_000_000, wanted: 100)
        #expect(machine.total <= 640 << 10 + 2 * machine.pacer.piece)
        #expect(machine.total >= 600 << 10)
    }

    /// With every transfer at work each has its share, and that is above the stall limit: pacing never looks like standing still.
    @Test func pacingIsNoStallAndHasTheTimeThatItNeeds() throws {
        for rate in [HTTPLimits.sendRateMin, 1 << 20, 1 << 30] {
            for transfers in [1, 8, 128, 256] {
                var settings = HTTPSettings()
                settings.sendBytesPerSecondMax = rate
                settings.transfersMax = transfers
                settings.stallBytesPerSecond = 1024
                try settings.validate()
                #expect(settings.stallBytesPerSecondInUse <= max(1, rate / transfers / 2))
                #expect(settings.stallBytesPerSecondInUse >= 1)
                // Turns come before the shortest stall time that can be set (30 s by default) has passed.
                let pacer = SendPacer(bytesPerSecond: rate, now: 0)
                #expect(Double(transfers * pacer.piece) / Double(rate) < 30)
                #expect(settings.requestTime(ofBody: 64 << 20) >= .seconds(Double(64 << 20) * Double(transfers) / Double(rate)))
            }
        }
        var settings = HTTPSettings()
        #expect(settings.stallBytesPerSecondInUse == settings.stallBytesPerSecond)
        #expect(settings.requestTime(ofBody: 1 << 30) == settings.requestTimeout)
        settings.sendBytesPerSecondMax = HTTPLimits.sendRateMin - 1
        #expect(throws: ArchiveError.self) { try settings.validate() }
    }

    /// Through libcurl and a real server: what was paused arrives whole, from several uploads at once.
    @Test func pacedUploadsArriveWhole() async throws {
        let server = try await NginxServer.start()
        var settings = HTTPSettings()
        settings.proxy = ""
        settings.sendBytesPerSecondMax = 2 << 20
        let store = try HTTPStore(base: server.url, settings: settings)
        let bodies = (0..<4).map { seed in
            var random = SeededGenerator(seed: UInt64(seed))
            return (0..<(200_000 + seed * 33_333)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, body) in bodies.enumerated() {
                group.addTask { _ = try await store.create(ObjectKey("paced/\(index)"), body) }
            }
            try await group.waitForAll()
        }
        for (index, body) in bodies.enumerated() {
            #expect(try await store.get(ObjectKey("paced/\(index)"), range: nil, limit: 1 << 20) == body)
        }
        await store.shutdown()
    }
}
