import Foundation

/// What a user would otherwise write: `zstd -N -c FILE | curl -T - URL` for each closed segment, two at a time.
enum PipelineLimit {
    static func measure(level: Int, _ bench: ShippingBench, segments: [String]) throws -> Program.Run {
        let list = "\(bench.nginx.root)/../segments"
        try Data(segments.map { "\($0)\n" }.joined().utf8).write(to: URL(filePath: list))
        let pipe = "zstd -q -\(level) -c \"$1\" | curl -sf -T - \"\(bench.nginx.url)/pipeline/$(basename \"$1\").zst\""
        return try Program.run(
            "/bin/sh", ["-ec", "xargs -a '\(list)' -P 2 -n 1 /bin/bash -o pipefail -ec '\(pipe.replacing("'", with: "'\\''"))' pipeline"],
            errors: "\(bench.nginx.root)/../pipeline-said")
    }
}
