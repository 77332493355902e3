/// Tables for people.
enum TextTable {
    /// Columns as wide as their widest cell, two spaces apart.
    static func aligned(_ rows: [[String]]) -> [String] {
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
