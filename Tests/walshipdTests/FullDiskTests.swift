import Foundation
import Testing
import TestSupport
import WAL

/// A log on a file system without a byte left: what makes room again needs none.
@Suite struct FullDiskTests {
    /// The disk is full and storage is away: the checkpoint stands still, the backlog is over its limit. The gap is recorded, segments go, and there is
    /// room. Then storage is back while the disk is full once more: checkpoints move, truncation works, and the writer goes on.
    @Test(.enabled(if: Mounts.arePossible, "\(Mounts.reason)"))
    func checkpointsGapsAndTruncationNeedNoSpace() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let script = """
                set -e
                W='\(Program.walshipd)'
                mkdir m archive away
                mount -t tmpfs -o size=6m none m
                args="run --log m/log --archive file://$PWD/archive/orders --ship-claim-settle 10ms --retry-delay-max 100ms"
                limit="--ship-max-local-bytes 256KiB --ship-backlog-policy drop"
                line() { head -c 2000000 /dev/zero | tr '\\0' x | fold -w 997; }
                fill() { cat /dev/zero > "m/$1" 2>/dev/null || true; test "$(df --output=avail m | tail -1)" -eq 0; }
                slot() { "$W" status --log m/log --json; echo; }

                line | head -n 300 | "$W" append --log m/log --segment-size 64KiB --sync end
                "$W" $args --once
                # Storage is away, the backlog grows, and the disk fills.
                mv archive/orders away/; mv archive elsewhere; : > archive
                line | "$W" append --log m/log --sync end
                fill one
                slot > before
                "$W" $args $limit 2> dropping & pid=$!
                for i in $(seq 300); do "$W" status --log m/log --json | grep -q '"gaps":\\[{' && test "$(ls m/log/*.wal | wc -l)" -lt 10 && break; sleep 0.1; done
                slot > dropped
                kill $pid; wait $pid || true
                # There is room again, and the disk fills once more; storage is back.
                df --output=avail m | tail -1 > room
                line | head -n 200 | "$W" append --log m/log --sync end
                fill two
                rm archive; mv elsewhere archive; mv away/orders archive/
                "$W" $args $limit --once
                slot > after
                echo last | "$W" append --log m/log --sync end
                "$W" $args --once
                "$W" verify --log m/log > verified
                echo done
                """
            let process = try ChildProcess(
                "unshare", ["-m", "sh", "-c", script], in: scratch, environment: ["SWIFT_BACKTRACE": "enable=no"], workingDirectory: scratch)
            let exit = try await process.waitForExit(within: .seconds(80))
            func text(_ path: String) -> String { String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self) }
            #expect(exit == .exited(0) && text(process.standardOutputPath).hasSuffix("done\n"), "\(exit): \(text(process.standardErrorPath).suffix(2000))")
            func status(_ name: String) throws -> [String: Any] {
                let data = try #require(FileManager.default.contents(atPath: "\(scratch)/\(name)"))
                return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            }
            func destination(_ name: String) throws -> [String: Any] {
                try #require((status(name)["destinations"] as? [[String: Any]])?.first)
            }
            let gaps = try #require(destination("dropped")["gaps"] as? [[String: String]])
            #expect(gaps.count == 1)
            #expect(try (status("dropped")["head_lsn"] as? String).flatMap { UInt64($0) } ?? 0 > 1_000_000)
            let last = try #require(destination("after")["last_gap"] as? [String: String])
            // It grew while more was written.
            #expect(last["start_lsn"] == gaps[0]["start_lsn"] && UInt64(last["end_lsn"] ?? "") ?? 0 >= UInt64(gaps[0]["end_lsn"] ?? "") ?? .max)
            #expect(try destination("after")["lag_bytes"] as? Int == 0)
            let log = text("\(scratch)/dropping")
            #expect(log.contains("over its limit") && log.contains("given up"), "\(log.suffix(2000))")
        }
    }
}
