import Foundation
import TestSupport
import Testing

/// The program with an archive in a bucket, from the first record to the restored log.
@Suite struct S3CommandTests {
    @Test func aLogGoesToABucketAndComesBackByteForByte() async throws {
        try await withScratch { scratch async throws in
            let server = try await SeaweedServer.start()
            let archive = "s3://\(SeaweedServer.bucket)/backups/2026%20a=b/orders"
            let keys = ["AWS_ACCESS_KEY_ID": SeaweedServer.key.id, "AWS_SECRET_ACCESS_KEY": SeaweedServer.key.secret]
            func walshipd(_ arguments: [String], _ environment: [String: String]) async throws -> Program.Ended {
                try await Program.run(Program.walshipd, arguments, in: scratch, environment: environment)
            }
            let input = (0..<500).map { "record \($0) " + String(repeating: "é=*(+~ %", count: $0 % 40) + "\n" }.joined()
            let appended = try await CommandProcess.run(
                ["append", "--log", "\(scratch)/log", "--segment-size", "8KiB"], input: input, in: scratch)
            #expect(appended.code == 0, "\(appended.error)")
            func once(_ archive: String, _ environment: [String: String]) async throws -> Program.Ended {
                try await walshipd(
                    [
                        "run", "--log", "\(scratch)/log", "--archive", archive, "--endpoint", server.url, "--region", "eu-central-1", "--once",
                        "--ship-claim-settle", "10ms", "--timeout", "30s",
                    ], environment)
            }
            // Keys from the environment, from a file by its profile, and none.
            let shipped = try await once(archive, keys)
            #expect(shipped.code == 0, "\(shipped.error)")
            let file = "\(scratch)/credentials"
            try "[ship]\naws_access_key_id = \(SeaweedServer.other.id)\naws_secret_access_key = \(SeaweedServer.other.secret)\n"
                .write(toFile: file, atomically: true, encoding: .utf8)
            let again = try await once(archive, ["AWS_SHARED_CREDENTIALS_FILE": file, "AWS_PROFILE": "ship"])
            #expect(again.code == 0, "\(again.error)")
            let none = try await once(archive, ["AWS_SHARED_CREDENTIALS_FILE": "\(scratch)/none"])
            #expect(none.code == 2 && none.error.contains("AWS_SHARED_CREDENTIALS_FILE"), "\(none)")

            let status = try await walshipd(["status", "--log", "\(scratch)/log", "--json"], [:])
            #expect(status.output.contains(#""lag_bytes":0"#) && status.output.contains(#""checksum-crc32c""#), "\(status.output)")

            // Settings from the environment alone.
            let environment = keys.merging(["WALSHIPD_S3_ENDPOINT": server.url, "AWS_REGION": "us-west-2"]) { $1 }
            let restored = try await walshipd(["restore", "--archive", archive, "--to", "\(scratch)/restored"], environment)
            #expect(restored.code == 0, "\(restored.error)")
            for place in [["--log", "\(scratch)/restored"], ["--archive", archive]] {
                let printed = try await walshipd(["cat"] + place, environment)
                #expect(printed.code == 0 && printed.output == input, "\(printed.error)")
            }

            // What is wrong has its own code.
            let wrong = environment.merging(["AWS_SECRET_ACCESS_KEY": "hunter2"]) { $1 }
            let refused = try await walshipd(["restore", "--archive", archive, "--to", "\(scratch)/no"], wrong)
            #expect(refused.code == 6 && refused.error.contains("SignatureDoesNotMatch") && !refused.error.contains("hunter2"), "\(refused)")
            let absent = try await walshipd(["restore", "--archive", "s3://archive/backups/other", "--to", "\(scratch)/no"], environment)
            #expect(absent.code == 5, "\(absent)")
            let nowhere = try await walshipd(["restore", "--archive", "s3://nowhere/orders", "--to", "\(scratch)/no"], environment)
            #expect(nowhere.code == 6 && nowhere.error.contains("there is no bucket nowhere"), "\(nowhere)")
            let path = try await walshipd(["status", "--archive", archive, "--endpoint", "\(server.url)/path"], environment)
            #expect(path.code == 2 && path.error.contains("--endpoint"), "\(path)")
        }
    }
}
