import HTTPTypes
import Testing

@testable import walshipd

/// The server's decisions that need no server: paths, ranges, fields of a PUT.
@Suite struct ServeValueTests {
    @Test func pathsAreDecodedOnceAndEncodedBack() throws {
        for (text, names) in [
            ("/", []), ("/a", ["a"]), ("/a/b/", ["a", "b"]), ("/a%20b", ["a b"]), ("/%61", ["a"]), ("/%252e", ["%2e"]),
            ("/...", ["..."]), ("/.hidden", [".hidden"]), ("/%C3%A9", ["é"]),
        ] {
            let path = try ObjectPath(requestPath: text)
            #expect(path.names == names, "\(text)")
            #expect(path.endsWithSlash == text.hasSuffix("/"))
            #expect(try ObjectPath(requestPath: path.description).names == names, "\(text)")
        }
    }

    /// Every text of up to five characters over the alphabet that traversal attempts are made of.
    @Test func noAcceptedPathLeavesTheRoot() {
        let alphabet = ["/", ".", "%2e", "%2f", "%5c", "a", "%00"]
        var texts = ["/"]
        var accepted = 0
        for _ in 0..<5 {
            texts = texts.flatMap { text in alphabet.map { text + $0 } }
            for text in texts {
                guard let path = try? ObjectPath(requestPath: text) else { continue }
                accepted += 1
                for name in path.names {
                    #expect(
                        !name.isEmpty && name != "." && name != ".." && !name.contains("/") && !name.contains("\\")
                            && !name.contains("\0"), "\(text)")
                }
            }
        }
        #expect(accepted > 100)
    }

    @Test func pathsHaveTheirLimits() throws {
        let longest = "/" + String(repeating: "n", count: 255)
        #expect(try ObjectPath(requestPath: longest).names.count == 1)
        #expect(throws: ServeError.self) { try ObjectPath(requestPath: longest + "n") }
        #expect(try ObjectPath(requestPath: String(repeating: "/n", count: 64)).names.count == 64)
        #expect(throws: ServeError.self) { try ObjectPath(requestPath: String(repeating: "/n", count: 65)) }
        #expect(throws: ServeError.self) { try ObjectPath(requestPath: String(repeating: longest, count: 5)) }
        for text in ["", "a", "http://host/a", "*"] {
            #expect(throws: ServeError.self, "\(text)") { try ObjectPath(requestPath: text) }
        }
    }

    /// Against the plain definition of RFC 9110, over every small range and size.
    @Test func rangesFollowTheirDefinition() {
        for size in UInt64(0)...6 {
            for first in UInt64(0)...7 {
                let open = first < size ? ByteRange.part(first..<size) : .unsatisfiable
                #expect(ByteRange(field: "bytes=\(first)-", size: size) == open)
                let suffix = first == 0 || size == 0 ? ByteRange.unsatisfiable : .part((size - min(size, first))..<size)
                #expect(ByteRange(field: "bytes=-\(first)", size: size) == suffix)
                for last in UInt64(0)...7 {
                    let bytes = (0..<size).filter { first <= $0 && $0 <= last }
                    let expected: ByteRange =
                        if last < first { .whole } else if let low = bytes.first, let high = bytes.last {
                            .part(low..<high + 1)
                        } else { .unsatisfiable }
                    #expect(ByteRange(field: "Bytes=\(first)-\(last)", size: size) == expected)
                }
            }
        }
        let max = UInt64.max
        #expect(ByteRange(field: "bytes=\(max - 1)-\(max)", size: max) == .part(max - 1..<max))
        #expect(ByteRange(field: "bytes=0-\(max)", size: max) == .part(0..<max))
        for field in [
            nil, "", "bytes", "bytes=", "bytes=-", "bytes=1", "bytes=1-2-3", "bytes= 1-2", "bytes=+1-2", "bytes=0-1,2-3",
            "items=0-1",
        ] {
            #expect(ByteRange(field: field, size: 10) == .whole, "\(field ?? "none")")
        }
    }

    @Test func fieldsOfAPutAreChecked() throws {
        func put(_ fields: HTTPFields) throws -> PutRequest { try PutRequest(fields, objectSizeMax: 100) }
        let length: HTTPFields = [.contentLength: "100"]
        #expect(try put(length) == put([.contentLength: "100"]))
        #expect(try put(length).precondition == .any)
        #expect(try put([.transferEncoding: "chunked"]).length == nil)
        func status(_ fields: HTTPFields) -> Int? {
            do {
                _ = try put(fields)
                return nil
            } catch {
                return (error as? ServeError)?.status.code
            }
        }
        #expect(status([:]) == 411)
        #expect(status([.contentLength: "101"]) == 413)
        #expect(status([.contentLength: "-1"]) == 400)
        #expect(status([.contentLength: "99999999999999999999"]) == 400)
        #expect(status([.contentLength: "1", .contentRange: "bytes 0-0/1"]) == 400)
        for (ifMatch, ifNoneMatch, expected) in [
            (nil, nil, Precondition.any), ("*", nil, .present), (nil, "*", .absent), (nil, "\"tag\"", .any),
            ("\"tag\"", nil, nil), ("*", "*", nil),
        ] as [(String?, String?, Precondition?)] {
            var fields = length
            fields[.ifMatch] = ifMatch
            fields[.ifNoneMatch] = ifNoneMatch
            #expect((try? put(fields))?.precondition == expected, "\(ifMatch ?? "") \(ifNoneMatch ?? "")")
            if expected == nil { #expect(status(fields) == 412) }
        }
    }
}
