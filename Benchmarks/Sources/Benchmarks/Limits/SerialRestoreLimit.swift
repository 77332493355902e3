import Foundation

/// What a user would otherwise write to have the log's bytes back: `curl URL | zstd -d >> FILE` for one object after the other.
enum SerialRestoreLimit {
    static func measure(_ bench: ShippingBench, objects: [String], into file: String) throws -> Program.Run {
        let list = "\(bench.nginx.root)/../objects"
        try Data(objects.map { "\(bench.nginx.url)/\($0)\n" }.joined().utf8).write(to: URL(filePath: list))
        let loop = "while read -r url; do curl -sf \"$url\" | zstd -q -d >> '\(file)'; done < '\(list)'"
        return try Program.run("/bin/bash", ["-o", "pipefail", "-ec", loop], errors: "\(bench.nginx.root)/../serial-said")
    }
}
