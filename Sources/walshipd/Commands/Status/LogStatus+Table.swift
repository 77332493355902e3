import WAL

extension LogStatus {
    /// For people: the log's own lines, then a table of its destinations and one of its pins, where there are any.
    var table: String {
        var lines = Self.aligned([
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
        if isReplica { lines.append("This is a replica: readable; promote it before writing to it.") }
        if !destinations.isEmpty {
            lines.append("")
            lines += Self.aligned(
                [["destination", "archived", "checkpoint", "lag bytes", "lag seconds"]]
                    + destinations.map { destination in
                        [
                            destination.name, "\(destination.archived)", "\(destination.checkpoint)", "\(destination.lagBytes)",
                            destination.lagSeconds.map { JSONText.seconds($0).text } ?? "never archived",
                        ]
                    })
        }
        if !pins.isEmpty {
            lines.append("")
            lines += Self.aligned([["pin", "position"]] + pins.map { [$0.name, "\($0.position)"] })
        }
        return lines.joined(separator: "\n")
    }

    /// Columns as wide as their widest cell, two spaces apart.
    private static func aligned(_ rows: [[String]]) -> [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.compactMap { $0.indices.contains(column) ? $0[column].count : nil }.max() ?? 0 }
        return rows.map { row in
            row.indices.map { column in
                let isLast = column == row.indices.last
                return row[column] + (isLast ? "" : String(repeating: " ", count: widths[column] - row[column].count + 2))
            }.joined()
        }
    }
}
