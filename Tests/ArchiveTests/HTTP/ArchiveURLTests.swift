import Archive
import Testing

@Suite struct ArchiveURLTests {
    @Test func baseAndLogNameAreTakenApart() throws {
        let url = try ArchiveURL("https://Archive.Example:8443/dav/backup/orders-1/")
        #expect(url.base == .http("https://archive.example:8443/dav/backup"))
        #expect(url.logName.text == "orders-1")
        #expect(url.text == "https://archive.example:8443/dav/backup/orders-1")
        let short = try ArchiveURL("http://127.0.0.1:9180/log")
        #expect(short.base == .http("http://127.0.0.1:9180"))
    }

    @Test func fileURLsNameADirectory() throws {
        #expect(try ArchiveURL("file:///var/lib/archive%20one/log").base == .directory("/var/lib/archive one"))
        #expect(try ArchiveURL("file:///log").base == .directory("/"))
        let host = try ArchiveURL("file://localhost/var/log1")
        #expect(try host == ArchiveURL("file:///var/log1"))
    }

    @Test(arguments: ["http://user:hunter2@host/base/log", "http://user@host/base/log", "file://u:hunter2@localhost/x/log"])
    func credentialsInAURLAreRefusedAndNotRepeated(_ text: String) {
        #expect { try ArchiveURL(text) } throws: { error in
            guard let error = error as? ArchiveError else { return false }
            return error.code == .invalid && error.hint != nil && !error.description.contains("hunter2")
        }
    }

    @Test func slotNameFollowsFromTheAddress() throws {
        // printf http://host/base/log | sha256sum
        let plain = try ArchiveURL("http://host/base/log")
        #expect(plain.slotName() == "d-de200401d13466cd")
        #expect(try ArchiveURL("http://HOST/base/log/").slotName() == plain.slotName())
        #expect(try ArchiveURL("http://host/base/log2").slotName() != plain.slotName())
    }

    @Test func bucketsAtTwoEndpointsAreTwoPlaces() throws {
        let bucket = try ArchiveURL("s3://bucket/prefix/log")
        // printf s3://bucket/prefix/log | sha256sum, printf s3+http://127.0.0.1:8333/bucket/prefix/log | sha256sum
        #expect(bucket.slotName() == "d-a09380d6a0796d6b")
        #expect(bucket.slotName(endpoint: "http://127.0.0.1:8333") == "d-37fb02992d041ead")
        #expect(bucket.store.identity(endpoint: "http://a") != bucket.store.identity(endpoint: "http://b"))
        let plain = try ArchiveURL("http://host/base/log")
        #expect(plain.slotName(endpoint: "http://a") == plain.slotName(), "an endpoint is of buckets only")
    }

    @Test(arguments: ["a", "A9", "0", "a.b_c-d", String(repeating: "x", count: 100)])
    func goodLogNamesAreTaken(_ name: String) throws {
        #expect(try ArchiveURL("http://h/\(name)").logName.text == name)
    }

    @Test(arguments: [".a", "-a", "_a", "a%20b", "a+b", "é", String(repeating: "x", count: 101)])
    func badLogNamesAreRefused(_ name: String) {
        #expect { try ArchiveURL("http://h/\(name)") } throws: { ($0 as? ArchiveError)?.code == .invalid }
    }

    @Test(arguments: [
        "", "host/log", "http:///log", "http://:80/log", "http://host", "http://host/", "http://host/a b/log",
        "http://host/log?x=1",
        "http://host/log#x", "http://host/../log", "http://host/%2E%2e/log", "http://host/a%zz/log", "file://host/dir/log",
        "file:///",
        "ftp://host/log", "://host/log", "http://%ff:x@host/log", "http://:secret@host/log",
    ])
    func whatIsNoArchiveURLIsRefusedWithAHint(_ text: String) {
        #expect { try ArchiveURL(text) } throws: { error in
            guard let error = error as? ArchiveError else { return false }
            return error.code == .invalid && error.hint != nil && !error.description.contains("secret")
        }
    }
}
