import TestSupport
import Testing

/// `walshipd demo` as a newcomer runs it, only smaller.
@Suite struct DemoTests {
    @Test func theDemoTellsTheWholeStoryAndEndsWithItsTable() async throws {
        try await withTemporaryDirectory { scratch in
            let demo = try ChildProcess(
                Program.walshipd, ["demo", "--size", "8MiB", "--duration", "6s", "--dir", scratch + "/work"], in: scratch,
                environment: ["SWIFT_BACKTRACE": "enable=no"])
            #expect(try await demo.waitForExit(within: .seconds(240)) == .exited(0), "\(demo.tail)")
            let table = demo.standardOutput.split(separator: "\n").map(String.init)
            for row in ["records restored", "bytes archived", "objects", "largest lag seen", "restore speed"] {
                #expect(table.contains { $0.hasPrefix(row) }, "\(row) is missing:\n\(demo.standardOutput)")
            }
            #expect(table.last?.hasSuffix("nothing acknowledged was lost") == true)
            for event in ["writer killed", "daemon killed", "archive server killed", "truncated", "restored"] {
                #expect(demo.standardError.contains(event), "\(event) is not told:\n\(demo.standardError)")
            }
        }
    }
}
