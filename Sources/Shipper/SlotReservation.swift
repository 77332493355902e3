import Archive
import WAL

/// Makes the slots of all of a log's destinations before any of them ships.
///
/// A slot is what holds truncation back. Were each made when its own shipper begins, a fast destination could have its segments truncated before
/// a slow one has said that it needs them too.
public enum SlotReservation {
    /// On return every name in `slots` has a slot on disk, at the log's head if there was none: truncation goes no further than its destination has
    /// archived. Nothing was sent to anybody. A slot that is served by another process, or that cannot be read, is there, holds, and is no error here.
    /// Throws `.replica`, or `.log` as attaching to a log does.
    public static func make(directory: String, slots: [String]) async throws(ShipperError) {
        try await LogWorker().perform(.light) { () throws(ShipperError) in
            let sidecar = try ShipperError.log { () throws(WALError) in try LogSidecar.attach(directory: directory) }
            defer { sidecar.detach() }
            // A copy is refused before it gets a slot.
            _ = try LogFacts(sidecar.reader)
            for name in slots {
                do throws(WALError) {
                    try sidecar.takeSlot(name) { () throws(WALError) in try initial(sidecar.reader) }.close()
                } catch {
                    // What is there holds, whoever serves it and however it looks: then this is for its own shipper to report.
                    let isThere = try ShipperError.log { () throws(WALError) in try sidecar.slotNames() }.contains(name)
                    guard isThere else { throw .log(error) }
                }
            }
        }
    }

    /// Nothing is shipped yet: everything that is there is held.
    static func initial(_ reader: LogReader) throws(WALError) -> SlotState {
        let head = try reader.headLSN
        var state = SlotState(kind: .destination, logID: reader.logID, position: head, epoch: try reader.epochs.epoch(at: head).id)
        state.archived = head
        return state
    }
}
