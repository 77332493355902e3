import Foundation
import TestSupport
import Testing

/// The quick start is run as it is written, with the program that was just built, on a port that is free.
@Suite struct QuickStartTests {
    @Test func theQuickStartDoesWhatItSays() async throws {
        let block = try #require(try House.block("sh", in: House.text("docs/quickstart.md")))
        let port = try Ports.free()
        let script = block.replacing("127.0.0.1:9180", with: "127.0.0.1:\(port)")
        #expect(script != block)
        try await withTemporaryDirectory { directory in
            // Whatever happens, the server goes: it is the script's child, and ends with it.
            try ("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + script)
                .write(toFile: "\(directory)/quickstart.sh", atomically: true, encoding: .utf8)
            let work = "\(directory)/work"
            try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: false)
            let programs = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path
            let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
            let process = try ChildProcess(
                "bash", ["\(directory)/quickstart.sh"], in: directory,
                environment: ["PATH": "\(programs):\(path)", "SWIFT_BACKTRACE": "enable=no"], workingDirectory: work)
            let exit = try await process.waitForExit(within: .seconds(120))
            #expect(exit == .exited(0), "\(process.standardError)")

            let promised = try String(contentsOfFile: "\(work)/promised", encoding: .utf8).split(separator: "\n")
            #expect(promised.count == 1000)
            let lines = process.standardOutput.split(separator: "\n")
            #expect(lines.contains("order 1000"))
            #expect(lines.last == "order 1001")
            // What the page shows next: an object of the archive is plain zstd.
            let objects = try FileManager.default.subpathsOfDirectory(atPath: "\(work)/archive").filter { $0.hasSuffix(".zst") }
            #expect(objects.contains { $0.contains("/tail/") && $0.contains("/0/") })
        }
    }
}
