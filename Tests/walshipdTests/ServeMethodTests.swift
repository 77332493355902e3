import Crypto
import Foundation
import Testing

@testable import walshipd

/// The archive server over real HTTP: each method, its conditions and its refusals.
@Suite(.serialized) struct ServeMethodTests {
    func withServer(_ options: [String] = [], _ body: (ServeProcess, String) async throws -> Void) async throws {
        try await withScratch { scratch async throws in
            let root = scratch + "/root"
            let server = try await ServeProcess(root: root, in: scratch, options)
            try await body(server, root)
            let ended = try await server.stop()
            #expect(ended.code == 0, "\(ended.error)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: root + "/" + ObjectPath.reserved) == ["lock"])
        }
    }

    @Test func objectsComeBackAsTheyWent() async throws {
        try await withServer { server, root async throws in
            for (index, size) in [0, 1, 4095, 65_536, 300_000, 3_000_001].enumerated() {
                let bytes = pattern(size, seed: UInt64(index + 1))
                #expect(try await server.put("/a/b/\(index)", bytes).status == 201)
                #expect(
                    FileManager.default.contents(atPath: "\(root)/a/b/\(index)") == bytes, "a plain file at the request path")
                let got = try await server.curl("/a/b/\(index)")
                #expect(got.status == 200)
                #expect(got.body == bytes)
                let head = try await server.curl("/a/b/\(index)", "-I")
                #expect(head.status == 200)
                #expect(head.headers["content-length"] == "\(size)")
            }
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: root + "/a").sorted() == ["b"], "nothing beside the objects"
            )
            #expect(try FileManager.default.contentsOfDirectory(atPath: root + "/a/b").count == 6)
        }
    }

    @Test func putReplacesAndSaysSo() async throws {
        try await withServer { server, _ async throws in
            #expect(try await server.put("/x", pattern(100, seed: 1)).status == 201)
            #expect(try await server.put("/x", pattern(50, seed: 2)).status == 204)
            #expect(try await server.curl("/x").body == pattern(50, seed: 2))
        }
    }

    @Test func conditionsAreHonoured() async throws {
        try await withServer { server, _ async throws in
            #expect(try await server.put("/x", pattern(10), "If-Match: *").status == 412)
            #expect(try await server.curl("/x").status == 404)
            #expect(try await server.put("/x", pattern(10), "If-None-Match: *").status == 201)
            #expect(try await server.put("/x", pattern(20, seed: 2), "If-None-Match: *").status == 412)
            // Large enough that curl waits for 100 Continue: the refusal comes before the body.
            #expect(try await server.put("/x", pattern(2_000_000), "If-None-Match: *").status == 412)
            #expect(try await server.curl("/x").body == pattern(10))
            #expect(try await server.put("/x", pattern(30, seed: 3), "If-Match: *").status == 204)
            #expect(try await server.put("/x", pattern(30, seed: 3), "If-Match: \"tag\"").status == 412)
            #expect(try await server.curl("/x").body == pattern(30, seed: 3))
        }
    }

    @Test func ofEightRivalsExactlyOneCreates() async throws {
        try await withServer { server, _ async throws in
            for round in 0..<5 {
                var rivals: [(Program, String)] = []
                for rival in 0..<8 {
                    let name = "race-\(round)-\(rival)"
                    let body = "\(round) \(rival) " + String(repeating: "x", count: 100_000)
                    rivals.append(
                        (
                            try server.startCurl(
                                "/race/\(round)",
                                ["-X", "PUT", "-H", "If-None-Match: *", "-H", "Expect:", "--data-binary", body], files: name),
                            name
                        ))
                }
                var winners: [Int] = []
                for (rival, (curl, name)) in rivals.enumerated() {
                    let status = try await server.reply(of: curl, files: name).status
                    if status == 201 { winners.append(rival) } else { #expect(status == 412) }
                }
                #expect(winners.count == 1)
                #expect(try await server.curl("/race/\(round)").text.hasPrefix("\(round) \(winners.first ?? -1) "))
            }
        }
    }

    @Test func ofEightRivalsExactlyOneMakesTheCollection() async throws {
        try await withServer { server, _ async throws in
            for round in 0..<5 {
                let rivals = try (0..<8).map { rival in
                    let name = "race-\(round)-\(rival)"
                    return (try server.startCurl("/c\(round)", ["-X", "MKCOL"], files: name), name)
                }
                var statuses: [Int] = []
                for (curl, name) in rivals { statuses.append(try await server.reply(of: curl, files: name).status) }
                #expect(statuses.sorted() == [201] + Array(repeating: 405, count: 7))
            }
        }
    }

    @Test func rangesAreServed() async throws {
        try await withServer { server, _ async throws in
            let bytes = pattern(600_000)
            try await server.put("/r", bytes)
            for (field, range) in [
                ("0-0", 0..<1), ("0-99", 0..<100), ("599999-", 599_999..<600_000), ("-5", 599_995..<600_000),
                ("1000-599999", 1000..<600_000), ("500000-9999999999999999999999", 500_000..<600_000),
                ("-9999999", 0..<600_000),
            ] {
                let part = try await server.curl("/r", "-H", "Range: bytes=\(field)")
                #expect(part.status == 206, "\(field)")
                #expect(part.body == bytes.subdata(in: range), "\(field)")
                #expect(part.headers["content-range"] == "bytes \(range.lowerBound)-\(range.upperBound - 1)/600000", "\(field)")
            }
            for field in ["600000-", "700000-800000", "-0", "99999999999999999999-"] {
                let none = try await server.curl("/r", "-H", "Range: bytes=\(field)")
                #expect(none.status == 416, "\(field)")
                #expect(none.headers["content-range"] == "bytes */600000", "\(field)")
            }
            for field in ["bytes=0-1,3-4", "bytes=5-2", "bytes=a-b", "lines=1-2"] {
                let whole = try await server.curl("/r", "-H", "Range: \(field)")
                #expect(whole.status == 200, "\(field)")
                #expect(whole.body == bytes, "\(field)")
            }
        }
    }

    @Test func bodiesThatDoNotMatchTheirMD5AreRefused() async throws {
        try await withServer { server, _ async throws in
            let bytes = pattern(200_000)
            let right = Data(Insecure.MD5.hash(data: bytes)).base64EncodedString()
            let wrong = Data(Insecure.MD5.hash(data: bytes + [0])).base64EncodedString()
            #expect(try await server.put("/m", bytes, "Content-MD5: \(wrong)").status == 400)
            #expect(try await server.curl("/m").status == 404)
            #expect(try await server.put("/m", bytes, "Content-MD5: nonsense").status == 400)
            #expect(try await server.put("/m", bytes, "Content-MD5: \(right)").status == 201)
            #expect(try await server.put("/m", pattern(9), "Content-MD5: \(wrong)").status == 400)
            #expect(try await server.curl("/m").body == bytes)
        }
    }

    @Test func collectionsFollowTheirRules() async throws {
        try await withServer { server, _ async throws in
            #expect(try await server.curl("/c", "-X", "MKCOL").status == 201)
            #expect(try await server.curl("/c", "-X", "MKCOL").status == 405)
            #expect(try await server.curl("/c/", "-X", "MKCOL").status == 405)
            #expect(try await server.curl("/c/d/", "-X", "MKCOL").status == 201)
            #expect(try await server.curl("/no/d", "-X", "MKCOL").status == 409)
            #expect(try await server.curl("/", "-X", "MKCOL").status == 405)
            #expect(try await server.curl("/e", "-X", "MKCOL", "-d", "body").status == 415)
            #expect(try await server.curl("/c").status == 405, "GET of a collection")
            #expect(try await server.curl("/c", "-I").status == 405)
            #expect(try await server.put("/c", pattern(1)).status == 409, "PUT onto a collection")
            #expect(try await server.put("/c/o", pattern(1)).status == 201)
            #expect(try await server.curl("/c/o", "-X", "MKCOL").status == 405, "MKCOL onto an object")
            #expect(try await server.put("/c/o/x", pattern(1)).status == 409, "an object as a parent")
            #expect(try await server.curl("/c/o/x").status == 404)
            #expect(try await server.curl("/c/o/x", "-X", "MKCOL").status == 409)
            #expect(try await server.curl("/c", "-X", "DELETE").status == 409, "not empty")
            #expect(try await server.curl("/c/o/", "-X", "DELETE").status == 404)
            #expect(try await server.curl("/c/o", "-X", "DELETE").status == 204)
            #expect(try await server.curl("/c/o", "-X", "DELETE").status == 404)
            #expect(try await server.curl("/c/d/", "-X", "DELETE").status == 204)
            #expect(try await server.curl("/c", "-X", "DELETE").status == 204)
            #expect(try await server.put("/c/d/o", pattern(1)).status == 201, "made again after it was removed")
            #expect(try await server.curl("/", "-X", "DELETE").status == 403)
        }
    }

    @Test func listingsNameKindAndSize() async throws {
        try await withServer { server, _ async throws in
            try await server.put("/l/b%20%26%3C", pattern(7))
            try await server.put("/l/a", pattern(5))
            try await server.put("/l/sub/deep", pattern(3))
            let one = try await server.curl("/l/", "-X", "PROPFIND", "-H", "Depth: 1")
            #expect(one.status == 207)
            let hrefs = one.text.split(separator: "<D:href>").dropFirst().map { String($0.prefix { $0 != "<" }) }
            #expect(hrefs == ["/l/", "/l/a", "/l/b%20%26%3C", "/l/sub/"])
            #expect(one.text.contains("<D:getcontentlength>7</D:getcontentlength>"))
            #expect(try await !server.curl("/l", "-X", "PROPFIND", "-H", "Depth: 0").text.contains("/l/a"))
            #expect(try await server.curl("/none", "-X", "PROPFIND", "-H", "Depth: 1").status == 404)
            #expect(try await server.curl("/l", "-X", "PROPFIND").status == 403, "no endless depth")
            #expect(try await !server.curl("/", "-X", "PROPFIND", "-H", "Depth: 1").text.contains(ObjectPath.reserved))
        }
    }

    @Test func pathsThatCouldLeaveTheRootAreRefused() async throws {
        try await withServer { server, root async throws in
            let outside = URL(filePath: root).deletingLastPathComponent().path
            try "secret".write(toFile: outside + "/secret", atomically: true, encoding: .utf8)
            try FileManager.default.createSymbolicLink(atPath: root + "/link", withDestinationPath: outside)
            try FileManager.default.createSymbolicLink(atPath: root + "/file", withDestinationPath: outside + "/secret")
            for path in [
                "/../secret", "/a/../../secret", "/%2e%2e/secret", "/..%2fsecret", "/a/%2E%2E/%2e%2e/secret", "/./a",
                "//etc/passwd",
                "/a//b", "/a%00b", "/a%5cb", "/a%0ab", "/a%2fb", "/%zz", "/%2", "/%ff",
                "/" + String(repeating: "n", count: 256),
            ] {
                for arguments in [[], ["-X", "PUT", "-d", "x"], ["-X", "DELETE"], ["-X", "MKCOL"]] {
                    let name = UUID().uuidString
                    let reply = try await server.reply(of: server.startCurl(path, arguments, files: name), files: name)
                    #expect(reply.status == 400, "\(path) \(arguments)")
                }
            }
            #expect(try await server.curl("/%252e%252e/secret").status == 404, "decoded once, not twice")
            #expect(try await server.curl("/" + String(repeating: "n/", count: 2_000)).status == 414)
            for path in ["/link/secret", "/file", "/link/new"] {
                #expect(try await server.curl(path).status == 403, "\(path)")
                #expect(try await server.put(path, pattern(3)).status == 403, "\(path)")
                #expect(try await server.curl(path, "-X", "DELETE").status == 403, "\(path)")
            }
            for path in ["/\(ObjectPath.reserved)", "/\(ObjectPath.reserved)/lock", "/%2ewalshipd-uploads/lock"] {
                #expect(try await server.curl(path).status == 403, "\(path)")
                #expect(try await server.put(path, pattern(3)).status == 403, "\(path)")
            }
            #expect(try String(contentsOfFile: outside + "/secret", encoding: .utf8) == "secret")
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: root).sorted() == [ObjectPath.reserved, "file", "link"])
        }
    }

    @Test func requestsThatCannotBeServedAreNamed() async throws {
        try await withServer(["--object-size-max", "1KiB"]) { server, _ async throws in
            #expect(try await server.put("/big", pattern(1025)).status == 413)
            #expect(try await server.put("/big", pattern(1025), "Transfer-Encoding: chunked").status == 413)
            #expect(try await server.put("/fits", pattern(1024)).status == 201)
            #expect(try await server.put("/chunked", pattern(1000), "Transfer-Encoding: chunked").status == 201)
            #expect(try await server.curl("/chunked").body == pattern(1000))
            #expect(try await server.put("/part", pattern(5), "Content-Range: bytes 0-4/10").status == 400)
            #expect(try await server.curl("/c/", "-X", "PUT", "-d", "x").status == 405)
            let reply = try await server.curl("/x", "-X", "POST", "-d", "x")
            #expect(reply.status == 405)
            #expect(reply.headers["allow"]?.contains("PUT") == true)
            let options = try await server.curl("/", "-X", "OPTIONS")
            #expect(options.status == 200)
            #expect(options.headers["dav"] == "1")
        }
    }
}
