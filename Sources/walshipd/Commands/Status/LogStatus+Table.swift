import Follower
import WAL

extension LogStatus {
    /// For people: the log's own lines, then a table of its destinations and one of its pins, where there are any.
    var table: String {
        var lines = TextTable.aligned([
            ["log", path],
            ["log id", "\(logID)"],
            ["epoch", "\(epoch.number) (\(epoch.id))"],
            ["head", "\(head)"],
            ["written", "\(written)"],
            ["durable", "\(durable)"],
            ["segment size", "\(ByteSize(UInt64(segmentSize)))"],
            ["writer", (writer?.name ?? "none") + (isStopped ? ", stopped after a failed flush" : "")],
            ["held by", heldBy.map { "\($0.name)\($0.at.map { " at LSN \($0)" } ?? ", which cannot be read")" } ?? "nothing"],
        ])
        if let blockage {
            let by = blockage.process.map { "process \($0)" } ?? "a destination"
            lines.append("Appends wait for \(by) at the next segment: \(blockage.waitingAppends) now.")
        }
        for destination in destinations {
            for gap in destination.gaps { lines.append("\(destination.name) gave up LSN \(gap.lowerBound) to \(gap.upperBound); its archive is not told yet.") }
        }
        if let follower {
            lines += TextTable.aligned([
                ["follower", writer == nil && follower.state != "stopped" && follower.state != "ended" ? "not running; it was \(follower.state)" : follower.state],
                ["follows", follower.archive],
                ["lag", "\(follower.lagBytes) bytes" + (follower.lagSeconds.map { ", \(JSONText.seconds($0).text) seconds" } ?? "")],
            ])
            if let error = follower.lastError { lines.append("The follower: \(error)") }
        }
        if isReplica { lines.append("This is a replica: readable; promote it before writing to it.") }
        if !destinations.isEmpty {
            lines.append("")
            lines += TextTable.aligned(
                [["destination", "archived", "checkpoint", "lag bytes", "lag seconds"]]
                    + destinations.map { destination in
                        [
                            destination.name, "\(destination.archived)", "\(destination.checkpoint)", "\(destination.lagBytes)",
                            destination.lagSeconds.map { JSONText.seconds($0).text } ?? "never archived",
                        ]
                    })
            for destination in destinations {
                if let weakness = destination.fencingWeakness { lines.append("\(destination.name): the store \(weakness).") }
            }
        }
        if !pins.isEmpty {
            lines.append("")
            lines += TextTable.aligned([["pin", "position"]] + pins.map { [$0.name, "\($0.position)"] })
        }
        return lines.joined(separator: "\n")
    }
}
