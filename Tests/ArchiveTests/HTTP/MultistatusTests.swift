import Foundation
import Testing

@testable import Archive

@Suite struct MultistatusTests {
    private func parse(_ text: String) throws(ArchiveError) -> [Multistatus.Entry] { try Multistatus(Array(text.utf8)).entries }

    /// As nginx's module, lighttpd and Apache write it, in turn.
    private let documents = [
        """
        <?xml version="1.0" encoding="utf-8" ?>
        <D:multistatus xmlns:D="DAV:">
        <D:response><D:href>/a/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype></D:prop>
        <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
        <D:response><D:href>/a/b%20c</D:href><D:propstat><D:prop><D:resourcetype></D:resourcetype></D:prop></D:propstat></D:response>
        </D:multistatus>
        """,
        """
        <multistatus xmlns="DAV:" xmlns:ns0="urn:uuid:c2f41010-65b3-11d1-a29f-00aa00c14882/"><response>
        <href>http://host:80/a/</href><propstat><prop><resourcetype><collection ns0:dt="x>y"></collection></resourcetype></prop></propstat></response>
        <!-- <response><href>/a/no</href></response> --><response><href><![CDATA[/a/b%20c]]></href><propstat><prop><resourcetype/></prop></propstat>
        </response></multistatus>
        """,
        """
        <ns1:multistatus xmlns:ns1='DAV:' xmlns:lp1="DAV:"><ns1:response xmlns:lp1="DAV:"><ns1:href>
          /a/
        </ns1:href><ns1:propstat><ns1:prop><lp1:owner><ns1:href>/users/1</ns1:href></lp1:owner><lp1:resourcetype><ns1:collection/></lp1:resourcetype>
        </ns1:prop></ns1:propstat></ns1:response><ns1:response><ns1:href>/a/b&#x20;c</ns1:href></ns1:response></ns1:multistatus>
        """,
    ]

    @Test func threeServersWaysOfWritingGiveTheSame() throws {
        for document in documents {
            #expect(
                try parse(document) == [
                    Multistatus.Entry(path: "/a/", isCollection: true), Multistatus.Entry(path: "/a/b c", isCollection: false),
                ])
        }
    }

    @Test func entitiesAreDecodedOnce() throws {
        let document = "<m:multistatus><m:response><m:href>/a&amp;lt;&#65;&apos;&quot;&gt;</m:href></m:response></m:multistatus>"
        #expect(try parse(document).map(\.path) == ["/a&lt;A'\">"])
    }

    /// A listing that was cut off anywhere is an error, never a shorter listing.
    @Test func everyCutOfADocumentIsRefused() {
        for document in documents {
            let bytes = Array(document.utf8)
            let end = document.range(of: "</", options: .backwards).map {
                document.utf8.distance(from: document.startIndex, to: $0.lowerBound)
            }
            for count in 0..<(end ?? 0) {
                #expect("cut at \(count)") { try Multistatus(Array(bytes.prefix(count))) } throws: {
                    ($0 as? ArchiveError)?.code == .invalid
                }
            }
        }
    }

    @Test(arguments: [
        "", "<html><body>login</body></html>", "<!DOCTYPE x [<!ENTITY a 'b'>]><multistatus></multistatus>",
        "<multistatus><response></response></multistatus>", "<multistatus><response><href>/a",
        "<multistatus><response><href>a</href></response></multistatus>",
        "<multistatus><response><href>/a%zz</href></response></multistatus>",
        "<multistatus><response><href>/a&x;</href></response></multistatus>",
        "<multistatus><response><href>/a&amp</href></response></multistatus>", "<multistatus><response><response>",
        "<multistatus>< ></multistatus>",
        "<multistatus><response><href>/%ff</href></response></multistatus>",
    ])
    func whatIsNoMultistatusIsRefused(_ document: String) {
        #expect { try parse(document) } throws: { ($0 as? ArchiveError)?.code == .invalid }
    }
}
