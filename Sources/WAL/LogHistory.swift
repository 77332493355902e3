import Synchronization

/// The history of a log's writers as this process knows it: it grows when the end of the log is cut off, which begins an epoch.
///
/// Whoever reads along keeps the epoch under which it began: where that epoch's successor starts, its part of the log ends. Any thread.
package final class LogHistory: Sendable {
    private let table: Mutex<EpochTable>
    private let currentNumber: Atomic<UInt64>

    package init(_ epochs: EpochTable) {
        table = Mutex(epochs)
        currentNumber = Atomic(epochs.current.number)
    }

    package var epochs: EpochTable { table.withLock { $0 } }

    /// The number of the current epoch; one load.
    package var number: UInt64 { currentNumber.load(ordering: .acquiring) }

    /// Takes up a history that goes on from this one.
    func begin(_ epochs: EpochTable) {
        table.withLock { table in
            precondition(epochs.current.number > table.current.number, "a history goes on")
            table = epochs
        }
        currentNumber.store(epochs.current.number, ordering: .releasing)
    }

    /// Where what began under epoch `number` was cut off since, at the lowest; nil where it was not.
    @inline(__always)
    package func cutEnd(since number: UInt64) -> LSN? {
        self.number == number ? nil : successorStart(number)
    }

    private func successorStart(_ number: UInt64) -> LSN {
        table.withLock { table in
            guard let next = table.epochs.first(where: { $0.number > number }) else {
                preconditionFailure("epoch \(number) is older than the current one")
            }
            // Where the successor is forgotten the head lies above its start: nothing is left of what was read.
            return next.number == number + 1 ? next.start : .zero
        }
    }
}
