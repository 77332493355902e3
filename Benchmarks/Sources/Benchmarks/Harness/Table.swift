/// The rows as text, in columns; a Markdown table, so that it can be kept as it is.
struct Table: CustomStringConvertible {
    let rows: [RowResult]

    var description: String {
        let lines = [["row", "measured", "limit", "ratio", "least … greatest", "threshold", "verdict"]] + rows.map(cells)
        let widths = lines[0].indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        var text = ""
        for (number, line) in lines.enumerated() {
            let padded = zip(line, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            text += "| \(padded.joined(separator: " | ")) |\n"
            if number == 0 { text += "|\(widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|"))|\n" }
        }
        return text
    }

    private func cells(_ result: RowResult) -> [String] {
        let row = result.row
        let unit = row.ours.unit
        let limit: String
        switch row.limit {
        case .measured(let series, let letter): limit = "\(letter) \(result.limit.map { series.unit.text($0.median) } ?? "–")"
        case .fixed(let value): limit = unit.text(value)
        }
        let ratio = result.ratio
        return [
            row.name, result.ours.map { unit.text($0.median) } ?? "–", limit,
            ratio.map { Unit.digits($0.median) } ?? "–",
            ratio.map { "\(Unit.digits($0.least)) … \(Unit.digits($0.greatest))" } ?? "–",
            row.threshold.text, result.verdict.rawValue,
        ]
    }
}
