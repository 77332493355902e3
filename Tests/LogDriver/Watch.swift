import Foundation
import WAL

/// Another process beside a writer: attaches as reader and sidecar, reads everything, keeps a slot, truncates what the slot has passed, and detaches.
/// Again and again, until it is killed. Prints `truncating LSN`, `read COUNT`, and `failed …` for what must not be.
enum Watch {
    static func run(_ directory: String) -> Never {
        while true {
            do throws(WALError) {
                try once(directory)
            } catch {
                switch error {
                // The end is being truncated, the log has not begun yet, or the prefix went while it was read.
                case .locked, .notALog, .positionLost: break
                default: LogDriver.say("failed \(error)")
                }
            }
            // Most of the time nobody is attached: else the end could never be truncated.
            usleep(UInt32.random(in: 1000...60_000))
        }
    }

    private static func once(_ directory: String) throws(WALError) {
        let sidecar = try LogSidecar.attach(directory: directory)
        defer { sidecar.detach() }
        var (count, last, end) = (0, StormRecord?.none, try sidecar.reader.headLSN)
        for element in sidecar.reader.iter() {
            let record = try element.get()
            if let problem = StormRecord.problem(record, after: &last) { LogDriver.say("failed \(problem)") }
            (count, end) = (count + 1, record.endLSN)
        }
        LogDriver.say("read \(count)")
        let (head, epochs) = (try sidecar.reader.headLSN, try sidecar.reader.epochs)
        let slot = try sidecar.takeSlot("watch") { () throws(WALError) in
            SlotState(kind: .destination, logID: sidecar.reader.logID, position: head, epoch: epochs.epoch(at: head).id)
        }
        defer { slot.close() }
        // A little behind, so that the end may be cut off somewhat.
        let position = try sidecar.reader.batchBoundary(atOrBelow: max(head, LSN(end.rawValue - min(end.rawValue, 1 << 20))))
        guard position >= slot.state.position else { return }
        try slot.update {
            $0.position = position
            $0.epoch = epochs.epoch(at: position).id
        }
        try slot.settle()
        LogDriver.say("truncating \(position)")
        try sidecar.truncateBefore(position)
    }
}
