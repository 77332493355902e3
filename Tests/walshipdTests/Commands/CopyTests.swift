import Archive
import Foundation
import TestSupport
import Testing

@testable import walshipd

/// `walshipd copy`, from and to real servers, and whose credentials go where.
@Suite struct CopyTests {
    private let bucketKeys = ["AWS_ACCESS_KEY_ID": SeaweedServer.key.id, "AWS_SECRET_ACCESS_KEY": SeaweedServer.key.secret]

    @Test func anArchiveGoesFromAServerToABucketAndComesBackFromThere() async throws {
        try await withScratch { scratch async throws in
            let (nginx, seaweed) = (try await NginxServer.start(), try await SeaweedServer.start())
            let (near, far) = ("\(nginx.url)/logs/orders", "s3://\(SeaweedServer.bucket)/kept/orders-2026")
            func walshipd(_ arguments: String..., environment: [String: String] = [:]) async throws -> Program.Ended {
                try await Program.run(Program.walshipd, arguments, in: scratch, environment: environment.merging(["WALSHIPD_HTTP_PROXY": "", "no_proxy": "*"]) { $1 })
            }
            func ship(_ lines: String) async throws {
                _ = try await CommandProcess.run(["append", "--log", "\(scratch)/log", "--segment-size", "8KiB"], input: lines, in: scratch)
                let shipped = try await walshipd(
                    "run", "--log", "\(scratch)/log", "--archive", near, "--once", "--ship-claim-settle", "10ms", "--timeout", "30s")
                #expect(shipped.code == 0, "\(shipped.error)")
            }
            func copy(_ environment: [String: String]) async throws -> Program.Ended {
                try await walshipd(
                    "copy", "--from", near, "--to", far, "--to-endpoint", seaweed.url, "--to-region", "eu-central-1", "--json", environment: environment)
            }
            let first = (0..<400).map { "record \($0) " + String(repeating: "+", count: $0 % 50) + "\n" }.joined()
            try await ship(first)
            let nobody = try await copy(["AWS_SHARED_CREDENTIALS_FILE": "\(scratch)/none"])
            #expect(nobody.code == 2, "\(nobody)")
            let copied = try await copy(bucketKeys)
            #expect(copied.code == 0 && copied.error.isEmpty, "\(copied)")
            #expect(copied.output.contains(#""start_lsn":"0""#) && copied.output.contains(#""present_objects":0,"#) && copied.output.contains(#""gaps":[]"#))
            // With keys that are the destination's own, and more of the log.
            try await ship("one more\n")
            let own = Dictionary(uniqueKeysWithValues: bucketKeys.map { ("WALSHIPD_TO_" + $0.key, $0.value) })
            let again = try await copy(own.merging(["AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "wrong", "WALSHIPD_TO_S3_SPELLING": "x"]) { $1 })
            #expect(again.code == 0 && again.output.contains(#""copied_objects":1,"#), "\(again)")
            #expect(again.error.contains("WALSHIPD_TO_S3_SPELLING is not a setting"), "\(again.error)")

            let environment = bucketKeys.merging(["WALSHIPD_S3_ENDPOINT": seaweed.url]) { $1 }
            let printed = try await walshipd("cat", "--archive", far, environment: environment)
            #expect(printed.code == 0 && printed.output == first + "one more\n")
            // And from the bucket to a directory.
            let third = "file://\(scratch)/third/orders"
            let back = try await walshipd("copy", "--from", far, "--to", third, environment: environment)
            #expect(back.code == 0 && back.output.isEmpty && back.error.contains("copied "), "\(back)")
            let restored = try await walshipd("restore", "--archive", third, "--to", "\(scratch)/restored")
            #expect(restored.code == 0, "\(restored.error)")
            #expect(try await walshipd("cat", "--log", "\(scratch)/restored").output == first + "one more\n")
        }
    }

    @Test func exitCodesSayWhatIsWrong() async throws {
        try await withScratch { scratch async throws in
            func walshipd(_ arguments: String..., environment: [String: String] = [:]) async throws -> Program.Ended {
                try await Program.run(Program.walshipd, arguments, in: scratch, environment: environment)
            }
            for name in ["a", "b"] {
                _ = try await CommandProcess.run(["append", "--log", "\(scratch)/\(name)", "--segment-size", "8KiB"], input: "x\n", in: scratch)
                let shipped = try await walshipd(
                    "run", "--log", "\(scratch)/\(name)", "--archive", "file://\(scratch)/archive/\(name)", "--once", "--ship-claim-settle", "10ms")
                #expect(shipped.code == 0, "\(shipped.error)")
            }
            let (a, b, c) = ("file://\(scratch)/archive/a", "file://\(scratch)/archive/b", "file://\(scratch)/archive/c")
            let same = try await walshipd("copy", "--from", a, "--to", a + "/")
            #expect(same.code == 2 && same.error.contains("one place"), "\(same)")
            let other = try await walshipd("copy", "--from", a, "--to", b)
            #expect(other.code == 4 && other.error.contains("at the destination: "), "\(other)")
            let absent = try await walshipd("copy", "--from", c, "--to", "file://\(scratch)/d/c")
            #expect(absent.code == 5 && absent.error.contains("at the source: there is no archive"), "\(absent)")
            let closed = try await walshipd(
                "copy", "--from", a, "--to", "s3://bucket/x/a", "--endpoint", "nonsense")
            #expect(closed.code == 2 && closed.error.contains("--endpoint"), "\(closed)")
            let named = try await walshipd(
                "copy", "--from", a, "--to", "s3://bucket/x/a", environment: ["WALSHIPD_TO_S3_ENDPOINT": "nonsense"])
            #expect(named.code == 2 && named.error.contains("WALSHIPD_TO_S3_ENDPOINT"), "\(named)")
            let object = try FileManager.default.subpathsOfDirectory(atPath: "\(scratch)/archive/a").first { $0.hasSuffix(".zst") }
            try FileManager.default.removeItem(atPath: "\(scratch)/archive/a/\(try #require(object))")
            let gap = try await walshipd("copy", "--from", a, "--to", c)
            #expect(gap.code == 3 && gap.error.contains("at the source: "), "\(gap)")
        }
    }

    // MARK: Credentials

    private func held(_ environment: [String: String], _ from: String, _ to: String, endpoints: (String?, String?) = (nil, nil)) throws -> [String: String] {
        let (source, destination) = (try StoreURL(from), try StoreURL(to))
        return DestinationEnvironment(environment, source: .init(source, endpoint: endpoints.0)) { _ in .init(destination, endpoint: endpoints.1) }.variables
    }

    @Test func credentialsGoToNoServerThatTheyWereNotGivenFor() throws {
        let environment = [
            "WALSHIPD_HTTP_USERNAME": "u", "WALSHIPD_HTTP_PASSWORD": "p", "WALSHIPD_HTTP_HEADERS": "X-Token: t", "WALSHIPD_HTTP_QUERY": "sig=1",
            "WALSHIPD_HTTP_CA_FILE": "/ca", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "x", "HOME": "/home/x",
        ]
        let http = ["WALSHIPD_HTTP_USERNAME", "WALSHIPD_HTTP_PASSWORD", "WALSHIPD_HTTP_QUERY"]
        let bucket = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"]
        func lost(_ from: String, _ to: String, _ endpoints: (String?, String?) = (nil, nil)) throws -> Set<String> {
            Set(environment.keys).subtracting(try held(environment, from, to, endpoints: endpoints).keys)
        }
        #expect(try lost("https://a.example/x", "https://a.example/y") == [])
        #expect(try lost("https://a.example/x", "https://b.example/x") == Set(http + ["WALSHIPD_HTTP_HEADERS"]))
        #expect(try lost("https://a.example/x", "http://a.example/x") == Set(http + ["WALSHIPD_HTTP_HEADERS"]))
        #expect(try lost("https://a.example/x", "s3://bucket/x") == ["WALSHIPD_HTTP_HEADERS"])
        #expect(try lost("s3://bucket/x", "https://a.example/x") == ["WALSHIPD_HTTP_HEADERS"])
        #expect(try lost("s3://bucket/x", "s3://other/x") == [])
        #expect(try lost("s3://bucket/x", "s3://bucket/x", (nil, "https://s3.example")) == Set(bucket + ["WALSHIPD_HTTP_HEADERS"]))
        #expect(try lost("s3://bucket/x", "s3://bucket/x", ("https://s3.example", "https://s3.example")) == [])
        #expect(try lost("file:///x", "https://a.example/x") == [])
    }

    @Test func whatIsTheDestinationsOwnTakesThePlaceOfAllThatGoesWithIt() throws {
        let environment = [
            "WALSHIPD_HTTP_USERNAME": "u", "WALSHIPD_HTTP_PASSWORD": "p", "WALSHIPD_TO_HTTP_BEARER_TOKEN": "t", "WALSHIPD_TO_S3_REGION": "",
            "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "WALSHIPD_TO_S3_PROFILE": "far", "WALSHIPD_S3_REGION": "r",
        ]
        let held = try held(environment, "https://a.example/x", "https://a.example/y")
        #expect(held == ["WALSHIPD_HTTP_BEARER_TOKEN": "t", "WALSHIPD_S3_PROFILE": "far", "WALSHIPD_S3_REGION": "r"])
    }
}
