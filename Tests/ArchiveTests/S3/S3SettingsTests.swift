import Foundation
import TestSupport
import Testing
import WAL

@testable import Archive

/// Where a bucket is and with which keys: everything before the first request.
@Suite struct S3SettingsTests {
    // MARK: Addresses

    private func address(
        _ bucket: String = "bucket", _ prefix: String = "p", _ change: (inout S3Settings) -> Void = { _ in }
    ) throws -> S3Address {
        var settings = S3Settings { () throws(ArchiveError) in throw ArchiveError(.invalid, "none") }
        change(&settings)
        return try S3Address(#require(S3Place(bucket: bucket, prefix: prefix)), settings)
    }

    @Test func addressesAreMadeOfEndpointRegionAndStyle() throws {
        let key = ObjectKey("a/b")
        #expect(try address().url(key) == "https://bucket.s3.us-east-1.amazonaws.com/p/a/b")
        #expect(try address { $0.region = "cn-north-1" }.host == "bucket.s3.cn-north-1.amazonaws.com.cn")
        #expect(try address("with.dots").url(key) == "https://s3.us-east-1.amazonaws.com/with.dots/p/a/b")
        #expect(try address { $0.addressing = .path }.url(key) == "https://s3.us-east-1.amazonaws.com/bucket/p/a/b")
        #expect(try address { $0.endpoint = "http://127.0.0.1:8333/" }.url(key) == "http://127.0.0.1:8333/bucket/p/a/b")
        #expect(try address("bucket", "") { $0.endpoint = "HTTPS://Host:443" }.url(key) == "https://host/bucket/a/b")
        #expect(try address { $0.endpoint = "http://h:80" }.host == "h")
        #expect(try address { $0.endpoint = "https://[::1]:80" }.host == "[::1]:80")
        let virtual = try address {
            $0.endpoint = "https://h:9000"
            $0.addressing = .virtualHost
        }
        #expect(virtual.url(key) == "https://bucket.h:9000/p/a/b" && virtual.host == "bucket.h:9000")
        #expect(virtual.url(query: [("b", ""), ("a", "/")]) == "https://bucket.h:9000/?a=%2F&b=")
    }

    @Test func endpointsAndRegionsThatCannotBeAreRefused() throws {
        for endpoint in ["h:80", "ftp://h", "http://", "http://h/path", "http://u:hunter2@h", "http://h?x", "http://h:99999"] {
            #expect("\(endpoint)") { try address { $0.endpoint = endpoint } } throws: {
                ($0 as? ArchiveError)?.code == .invalid && !"\($0)".contains("hunter2")
            }
        }
        for region in ["", "eu west", "a/b", "é"] { #expect(throws: ArchiveError.self) { try address { $0.region = region } } }
        #expect(throws: ArchiveError.self) { try address("a.b") { $0.addressing = .virtualHost } }
    }

    @Test func s3URLsNameABucketAndAPrefix() throws {
        let url = try ArchiveURL("s3://my-bucket/backups/2026%20a%C3%A9/orders")
        #expect(url.base == .s3(try #require(S3Place(bucket: "my-bucket", prefix: "backups/2026 aé"))))
        #expect(url.logName.text == "orders" && url.text == "s3://my-bucket/backups/2026%20a%C3%A9/orders")
        #expect(try ArchiveURL("s3://bucket/orders/").base == .s3(try #require(S3Place(bucket: "bucket", prefix: ""))))
        #expect(try StoreURL("S3://bucket").text == "s3://bucket")
    }

    @Test(arguments: [
        "s3://bucket", "s3:///log", "s3://ab/log", "s3://Bucket/log", "s3://bucket:80/log", "s3://-bucket/log", "s3://a..b/log", "s3://bu%63ket/log",
        "s3://bucket/a//log", "s3://bucket/a%2Fb/log", "s3://bucket/%00/log", "s3://bucket/../log", "s3://bucket/x?y/log", "s3://id:hunter2@bucket/log",
        "s3://bucket/\(String(repeating: "x", count: 600))/log",
    ])
    func whatIsNoS3URLIsRefusedWithAHint(_ text: String) {
        #expect { try ArchiveURL(text) } throws: { error in
            guard let error = error as? ArchiveError else { return false }
            return error.code == .invalid && error.hint != nil && !error.description.contains("hunter2")
        }
    }

    /// S3 takes keys of at most 1024 bytes.
    @Test func theLongestPrefixLeavesRoomForTheLongestName() throws {
        let layout = Layout(log: try #require(LogName(String(repeating: "x", count: 100))))
        let epoch = EpochName(number: ArchiveLimits.epochNumberMax, id: EpochID(rawValue: .max))
        let names = [layout.tail(epoch, level: 3, start: ArchiveLimits.lsnMax), layout.segment(epoch, start: ArchiveLimits.lsnMax)]
        for name in names { #expect(S3Limits.prefixMax + 1 + name.path.utf8.count + ".enc".utf8.count <= 1024) }
    }

    @Test func otherCredentialsBesideAnAccessKeyAreRefused() throws {
        #expect(throws: ArchiveError.self) { try s3Store("http://h", http: { $0.credentials = { .bearer(token: "x") } }) }
        #expect(throws: ArchiveError.self) { try s3Store("http://h", http: { $0.fixedQuery = "a=b" }) }
    }

    // MARK: Credentials

    @Test func theEnvironmentWinsOverTheFile() throws {
        let environment = [
            "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/at/all",
        ]
        #expect(try S3CredentialSource(environment: environment).read() == S3Credentials(accessKeyID: "id", secretAccessKey: "secret"))
        let token = environment.merging(["AWS_SESSION_TOKEN": "t"]) { $1 }
        #expect(try S3CredentialSource(environment: token).read().sessionToken == "t")
        for half in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            #expect { try S3CredentialSource(environment: [half: "hunter2"]).read() } throws: { "\($0)".contains("only one") && !"\($0)".contains("hunter2") }
        }
    }

    private let file = """
        # keys\r
        [default]\r
        aws_access_key_id = one\r
        aws_secret_access_key=first/+=\r
        \r
        [ other ]
        ; temporary
        aws_access_key_id=two
        region = eu-west-1
        aws_secret_access_key = second
        aws_session_token = token==
        [role]
        role_arn = arn:aws:iam::1:role/x
        """

    @Test func theSharedFileIsReadAgainEachTime() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/.aws/credentials"
            try FileManager.default.createDirectory(atPath: "\(directory)/.aws", withIntermediateDirectories: true)
            try file.write(toFile: path, atomically: true, encoding: .utf8)
            let source = S3CredentialSource(environment: ["HOME": directory])
            #expect(try source.read() == S3Credentials(accessKeyID: "one", secretAccessKey: "first/+="))
            let other = S3CredentialSource(environment: ["AWS_SHARED_CREDENTIALS_FILE": path, "AWS_PROFILE": "other"])
            #expect(try other.read() == S3Credentials(accessKeyID: "two", secretAccessKey: "second", sessionToken: "token=="))
            try file.replacing("second", with: "third").write(toFile: path, atomically: true, encoding: .utf8)
            #expect(try other.read().secretAccessKey == "third")
            for (profile, words) in [("role", "aws_access_key_id"), ("none", "no profile [none]")] {
                #expect { try S3CredentialSource(environment: ["HOME": directory, "AWS_PROFILE": profile]).read() } throws: { "\($0)".contains(words) }
            }
        }
    }

    @Test func whatIsNoCredentialsFileIsRefusedWithoutRepeatingIt() throws {
        for text in ["aws_secret_access_key: hunter2", "[default\naws_secret_access_key = hunter2", "hunter2", "[default]\naws_access_key_id = a b\naws_secret_access_key = hunter2"] {
            #expect("\(text)") { try S3CredentialSource.credentials(in: text, profile: "default", path: "/f") } throws: {
                ($0 as? ArchiveError)?.code == .invalid && !"\($0)".contains("hunter2")
            }
        }
        for environment in [[:], ["HOME": "/nowhere"], ["AWS_SHARED_CREDENTIALS_FILE": "/nowhere"], ["AWS_SHARED_CREDENTIALS_FILE": "/"]] {
            #expect { try S3CredentialSource(environment: environment).read() } throws: { ($0 as? ArchiveError)?.code == .invalid && ($0 as? ArchiveError)?.hint != nil }
        }
    }

    @Test func credentialsAreNeverPrinted() throws {
        let credentials = try S3Credentials(accessKeyID: "visible", secretAccessKey: "hunter2", sessionToken: "token")
        var dumped = "\(credentials) \(String(reflecting: credentials)) "
        dump(credentials, to: &dumped)
        dump(S3Settings { () throws(ArchiveError) in credentials }, to: &dumped)
        for word in ["visible", "hunter2", "token"] { #expect(!dumped.contains(word), "\(dumped)") }
        for text in ["", "a b", "a\nb", "é", String(repeating: "x", count: 9000)] {
            #expect(throws: ArchiveError.self) { try S3Credentials(accessKeyID: "id", secretAccessKey: text) }
        }
    }
}
