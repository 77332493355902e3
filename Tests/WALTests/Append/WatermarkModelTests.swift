import Testing

/// The watermark's protocol as a small machine whose every interleaving is tried: appenders and a watermark reader, one atomic operation at a
/// time. The reader is run as it is written, and with the two mistakes that would lose bytes, which must be found.
@Suite struct WatermarkModelTests {
    private enum Reader: CaseIterable {
        /// The tail, then the slots.
        case asWritten
        case slotsBeforeTail
    }
    private enum Appender: CaseIterable {
        /// Announce, reserve, say where, copy, clear.
        case asWritten
        case reservesBeforeAnnouncing
    }

    private struct Writer: Hashable {
        var step = 0
        /// What it believes of the tail.
        var guess = 0
        var start = 0
        /// What an idle slot keeps.
        var bound = 0
        var appended = 0
    }

    private struct State: Hashable {
        var tail = 0
        /// Announced bounds; nil: idle.
        var slots: [Int?]
        /// Which bytes are in place.
        var placed: Set<Int> = []
        var writers: [Writer]
        // The reader's.
        var readStep = 0
        var readTail = 0
        var lowest = Int.max
        var watermark = 0
        var reads = 0
    }

    private struct Machine {
        let reader: Reader
        let appender: Appender
        let appendsEach: Int
        let readsMax: Int

        /// One step of an appender: nil when it has nothing left to do.
        func step(writer number: Int, of state: State) -> State? {
            var next = state
            var writer = state.writers[number]
            guard writer.appended < appendsEach else { return nil }
            let announces = appender == .asWritten ? 0 : 1
            switch writer.step {
            case announces:
                if announces == 0 { writer.guess = writer.bound }
                next.slots[number] = announces == 0 ? writer.bound : writer.start
                writer.step += 1
            case 1 - announces:
                // Compare and swap: a wrong guess is replaced by what was found.
                if next.tail == writer.guess {
                    writer.start = writer.guess
                    next.tail += 1
                    writer.step += 1
                } else {
                    writer.guess = next.tail
                }
            case 2:
                // One that guessed wrong says where it is.
                next.slots[number] = writer.start
                writer.step += 1
            case 3:
                next.placed.insert(writer.start)
                writer.step += 1
            default:
                next.slots[number] = nil
                writer.bound = writer.start + 1
                writer.guess = writer.bound
                writer.step = 0
                writer.appended += 1
            }
            next.writers[number] = writer
            return next
        }

        /// One load of the reader. Nil when it has read often enough.
        func stepReader(of state: State) -> State? {
            guard state.reads < readsMax else { return nil }
            var next = state
            let loads = state.slots.count + 1
            let loadsTail = reader == .asWritten ? state.readStep == 0 : state.readStep == loads - 1
            if loadsTail {
                next.readTail = state.tail
            } else {
                let slot = reader == .asWritten ? state.readStep - 1 : state.readStep
                next.lowest = min(state.lowest, state.slots[slot] ?? .max)
            }
            next.readStep += 1
            if next.readStep == loads {
                next.watermark = max(state.watermark, min(next.readTail, next.lowest))
                next.readStep = 0
                next.lowest = .max
                next.readTail = 0
                next.reads += 1
            }
            return next
        }

        /// Visits every state that can be reached: the number of states, and one with a watermark above a byte that is not in place.
        func explore(writers: Int) -> (states: Int, violation: State?) {
            let first = State(slots: Array(repeating: nil, count: writers), writers: Array(repeating: Writer(), count: writers))
            var seen: Set<State> = [first]
            var todo = [first]
            while let state = todo.popLast() {
                let successors = (0..<writers).compactMap { step(writer: $0, of: state) } + [stepReader(of: state)].compactMap { $0 }
                for next in successors where seen.insert(next).inserted {
                    if !(0..<next.watermark).allSatisfy(next.placed.contains) { return (seen.count, next) }
                    todo.append(next)
                }
            }
            return (seen.count, nil)
        }
    }

    @Test func noInterleavingOfTheProtocolGivesAFalseWatermark() {
        for (writers, appends, reads) in [(2, 2, 2), (3, 1, 1)] {
            let (states, violation) = Machine(reader: .asWritten, appender: .asWritten, appendsEach: appends, readsMax: reads)
                .explore(writers: writers)
            #expect(violation == nil)
            #expect(states > 1000, "\(states) states of \(writers) appenders")
        }
    }

    @Test func slotsReadBeforeTheTailAreFound() {
        let (_, violation) = Machine(reader: .slotsBeforeTail, appender: .asWritten, appendsEach: 1, readsMax: 1).explore(writers: 2)
        #expect(violation != nil)
    }

    @Test func announcingAfterReservingIsFound() {
        let (_, violation) = Machine(reader: .asWritten, appender: .reservesBeforeAnnouncing, appendsEach: 1, readsMax: 1).explore(writers: 2)
        #expect(violation != nil)
    }
}
