import Archive

/// What docs/stores.md says of the stores: a table, and what to know of each. `make stores` writes it; a test of the house compares it.
package enum StoresTable {
    package static let begin = "<!-- Written by `make stores`. -->"
    package static let end = "<!-- To here. -->"

    /// What stands between the two marks.
    package static var text: String {
        var lines = [
            "| store | a second create | a claim on an epoch | an upload that is cut | what arrives is checked by | a listing | a range | properties kept |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for store in TestedStore.all {
            let cells = [
                store.title, secondCreate(store.capabilities), claim(store.capabilities), cutUpload(store.capabilities), check(store.capabilities),
                store.capabilities.contains(.list) ? "yes" : "no", store.capabilities.contains(.rangeGet) ? "yes" : "no: whole objects",
                "\(store.checks.count) of \(StoreCheck.all.count)",
            ]
            lines.append("| \(cells.joined(separator: " | ")) |")
        }
        lines.append("")
        for store in TestedStore.all {
            let lacks = store.lacks.sorted { $0.key < $1.key }.map { "Not kept: `\($0.key)`; \($0.value)." }
            lines.append("- **\(store.title)** (`\(store.url)`). \((store.notes + lacks).joined(separator: " "))")
        }
        return lines.joined(separator: "\n")
    }

    private static func secondCreate(_ found: StoreCapabilities) -> String {
        found.contains(.conditionalCreate) ? "the store refuses it" : "we look first"
    }

    private static func claim(_ found: StoreCapabilities) -> String {
        if found.contains(.exclusiveCollections) { return "exclusive, by MKCOL" }
        return found.contains(.conditionalCreate) ? "exclusive, by `claim.json`" : "waited for, read back"
    }

    private static func cutUpload(_ found: StoreCapabilities) -> String {
        if found.contains(.cutUploadsInvisible) { return "never shows" }
        return found.contains(.move) ? "temporary name, moved when whole" : "shows, and is replaced"
    }

    private static func check(_ found: StoreCapabilities) -> String {
        guard found.contains(.verifiesChecksum) else { return "us: read back" }
        return found.contains(.checksumCRC32C) ? "the store: CRC-32C" : "the store: MD5"
    }
}
