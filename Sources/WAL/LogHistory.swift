import Synchronization

/// The history of a log's writers as this process knows it: it grows when the end of the log is cut off, which begins an epoch.
///
/// Whoever reads along keeps the epoch under which it began: where that epoch's successor starts, its part of the log ends. A cut is announced before the
/// first byte changes, so whoever looks here after reading knows of it. Any thread.
package final class LogHistory: Sendable {
    private struct State {
        var table: EpochTable
        /// The log is being cut off here; where that fails, it has stopped.
        var announced: LSN?
    }

    private let state: Mutex<State>
    /// Twice the number of the current epoch; one more while a cut is announced.
    private let word: Atomic<UInt64>

    package init(_ epochs: EpochTable) {
        state = Mutex(State(table: epochs))
        word = Atomic(epochs.current.number * 2)
    }

    package var epochs: EpochTable { state.withLock(\.table) }

    /// The number of the current epoch; one load.
    package var number: UInt64 { word.load(ordering: .acquiring) / 2 }

    /// Whether a cut is announced and not done. Stays so where it fails, which stops the log.
    var isBeingCut: Bool { word.load(ordering: .acquiring) & 1 != 0 }

    /// What lies above `end` is going to be cut off. No way back.
    func announceCut(at end: LSN) {
        state.withLock { $0.announced = end }
        word.bitwiseOr(1, ordering: .acquiringAndReleasing)
    }

    /// Takes up a history that goes on from this one.
    func begin(_ epochs: EpochTable) {
        state.withLock { state in
            precondition(epochs.current.number > state.table.current.number, "a history goes on")
            state = State(table: epochs)
        }
        word.store(epochs.current.number * 2, ordering: .releasing)
    }

    /// Where what began under epoch `number` was cut off since, at the lowest; nil where it was not.
    @inline(__always)
    package func cutEnd(since number: UInt64) -> LSN? {
        word.load(ordering: .acquiring) == number * 2 ? nil : lowestCut(since: number)
    }

    private func lowestCut(since number: UInt64) -> LSN? {
        state.withLock { state in
            guard let next = state.table.epochs.first(where: { $0.number > number }) else {
                precondition(number == state.table.current.number, "epoch \(number) is none of this history")
                return state.announced
            }
            // Where the successor is forgotten the head lies above its start: nothing is left of what was read.
            let cut = next.number == number + 1 ? next.start : .zero
            return state.announced.map { min($0, cut) } ?? cut
        }
    }
}
