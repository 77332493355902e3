import Testing

@testable import Archive

/// The signer against what AWS has published.
@Suite struct SigV4Tests {
    /// A case of the aws-sig-v4-test-suite: key AKIDEXAMPLE, region us-east-1, service "service", 2015-08-30 12:36:00 UTC.
    struct Case: Sendable, CustomStringConvertible {
        var description: String
        var method = "GET"
        /// Before it is encoded.
        var path = "/"
        var query: [(String, String)] = []
        var headers: [(String, String)] = []
        var body = ""
        var signedHeaders = "host;x-amz-date"
        var signature: String
    }

    static let unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

    /// Path normalisation and double encoding are not S3's, and left out.
    static let suite = [
        Case(description: "get-vanilla", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        Case(
            description: "get-vanilla-query-order-key-case", query: [("Param2", "value2"), ("Param1", "value1")],
            signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        Case(
            description: "get-vanilla-query-order-key", query: [("Param1", "value2"), ("Param1", "Value1")],
            signature: "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1"),
        Case(
            description: "get-vanilla-query-order-value", query: [("Param1", "value2"), ("Param1", "value1")],
            signature: "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"),
        Case(
            description: "get-vanilla-empty-query-key", query: [("Param1", "value1")],
            signature: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
        Case(
            description: "get-vanilla-query-unreserved", query: [(unreserved, unreserved)],
            signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
        Case(
            description: "get-vanilla-utf8-query", query: [("ሴ", "bar")],
            signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
        Case(
            description: "get-unreserved", path: "/" + unreserved,
            signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
        Case(description: "get-utf8", path: "/ሴ", signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        Case(
            description: "get-header-value-trim", headers: [("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
            signedHeaders: "host;my-header1;my-header2;x-amz-date",
            signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
        Case(
            description: "get-header-key-duplicate", headers: [("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
            signedHeaders: "host;my-header1;x-amz-date", signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
        Case(
            description: "get-header-value-order",
            headers: [("My-Header1", "value4"), ("My-Header1", "value1"), ("My-Header1", "value3"), ("My-Header1", "value2")],
            signedHeaders: "host;my-header1;x-amz-date", signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"),
        Case(description: "post-vanilla", method: "POST", signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        Case(
            description: "post-vanilla-query", method: "POST", query: [("Param1", "value1")],
            signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
        Case(
            description: "post-header-value-case", method: "POST", headers: [("My-Header1", "VALUE1")],
            signedHeaders: "host;my-header1;x-amz-date", signature: "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
        Case(
            description: "post-x-www-form-urlencoded", method: "POST", headers: [("Content-Type", "application/x-www-form-urlencoded")],
            body: "Param1=value1", signedHeaders: "content-type;host;x-amz-date",
            signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        Case(
            description: "post-x-www-form-urlencoded-parameters", method: "POST",
            headers: [("Content-Type", "application/x-www-form-urlencoded; charset=utf8")], body: "Param1=value1",
            signedHeaders: "content-type;host;x-amz-date", signature: "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe"),
        Case(
            description: "get-vanilla-with-session-token",
            headers: [("X-Amz-Security-Token", "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267")],
            signedHeaders: "host;x-amz-date;x-amz-security-token",
            signature: "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"),
        Case(
            description: "post-sts-header-before", method: "POST",
            headers: [
                (
                    "X-Amz-Security-Token",
                    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
                )
            ],
            signedHeaders: "host;x-amz-date;x-amz-security-token",
            signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
    ]

    @Test(arguments: suite) func thePublishedSuiteIsReproduced(_ example: Case) throws {
        let timestamp = SigV4.timestamp(1_440_938_160)
        #expect(timestamp == "20150830T123600Z")
        let authorization = SigV4(region: "us-east-1", service: "service").authorization(
            SigV4.Request(
                method: example.method, path: SigV4.encode(example.path, keepingSlashes: true), query: SigV4.query(example.query),
                headers: example.headers + [("X-Amz-Date", timestamp), ("Host", "example.amazonaws.com")],
                payloadHash: SigV4.sha256(Array(example.body.utf8))),
            try S3Credentials(accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), timestamp: timestamp)
        #expect(
            authorization
                == "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=\(example.signedHeaders), "
                + "Signature=\(example.signature)")
    }

    /// The four examples of the S3 documentation, "Signature calculations for the Authorization header: transferring payload in a single chunk":
    /// the last line of the string to sign, and the signature.
    static let s3Examples = [
        (
            "GET", "/test.txt", [], [("Range", "bytes=0-9")], "",
            "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        ),
        (
            "PUT", "/test$file.text", [], [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            "Welcome to Amazon S3.",
            "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        ),
        (
            "GET", "/", [("lifecycle", "")], [], "",
            "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        ),
        (
            "GET", "/", [("prefix", "J"), ("max-keys", "2")], [], "",
            "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        ),
    ] as [(String, String, [(String, String)], [(String, String)], String, String, String)]

    @Test(arguments: s3Examples.indices) func theExamplesOfTheS3DocumentationAreReproduced(_ index: Int) throws {
        let (method, path, query, headers, body, canonicalHash, signature) = Self.s3Examples[index]
        let timestamp = SigV4.timestamp(1_369_353_600)
        let signer = SigV4(region: "us-east-1")
        let payloadHash = SigV4.sha256(Array(body.utf8))
        let request = SigV4.Request(
            method: method, path: SigV4.encode(path, keepingSlashes: true), query: SigV4.query(query),
            headers: headers + [("x-amz-date", timestamp), ("x-amz-content-sha256", payloadHash), ("Host", "examplebucket.s3.amazonaws.com")],
            payloadHash: payloadHash)
        let toSign = signer.stringToSign(SigV4.canonical(request).text, timestamp)
        #expect(toSign == "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n\(canonicalHash)")
        let credentials = try S3Credentials(accessKeyID: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        #expect(signer.authorization(request, credentials, timestamp: timestamp).hasSuffix(", Signature=\(signature)"))
    }

    @Test func everythingButTheUnreservedIsEncodedByteByByte() {
        #expect(SigV4.encode("/=*(+~ é ü %", keepingSlashes: true) == "/%3D%2A%28%2B~%20%C3%A9%20%C3%BC%20%25")
        #expect(SigV4.encode("/\u{1}", keepingSlashes: false) == "%2F%01")
        #expect(SigV4.encode(Self.unreserved, keepingSlashes: false) == Self.unreserved)
        #expect(SigV4.query([("b", ""), ("a=", "1 2"), ("B", "x"), ("a", "z")]) == "B=x&a=z&a%3D=1%202&b=")
    }

    @Test func timestampsAreTheCalendars() {
        #expect(SigV4.timestamp(0) == "19700101T000000Z")
        #expect(SigV4.timestamp(951_782_399) == "20000228T235959Z")
        #expect(SigV4.timestamp(951_782_400) == "20000229T000000Z")
        #expect(SigV4.timestamp(951_868_800) == "20000301T000000Z")
        #expect(SigV4.timestamp(1_767_225_599) == "20251231T235959Z")
        #expect(SigV4.timestamp(4_107_542_400) == "21000301T000000Z")
    }
}
