import Archive
import Foundation
import TestSupport
import Testing
import WAL

@testable import Follower

/// What shipping asks of a store, counted on the wire in a time of its own, and the formula of docs/operations.md for a whole day.
@Suite struct RequestCountTests {
    /// Requests of steady shipping. Every object is stored, seen to be there, and counted after a look at both claims; the head document goes out every
    /// ten seconds; when a segment is archived its tails are removed by their names, after a look at the claims for every 32 of them; size and metadata of the object and
    /// the claims are looked at before the log is truncated.
    struct Formula {
        /// The store verifies a checksum and honours conditions; otherwise each object is asked for before, and read back after.
        var verifies: Bool
        var object: Int { 1 + (verifies ? 1 : 3) + 2 }

        /// `removed`: tails of all levels, for each segment.
        func requests(tails: Int, merged: Int, segments: Int, truncations: Int, heads: Int, removed: [Int]) -> Int {
            (tails + merged + segments) * object + heads + removed.reduce(0) { $0 + $1 + 2 * (($1 + 31) / 32) } + truncations * 4
        }

        /// For a day of `rate` bytes a second and a tail every second.
        func perDay(rate: Int, segmentSize: Int) -> Int {
            let seconds = 86_400
            let segments = seconds * rate / segmentSize
            let perSegment = segmentSize / rate
            let merged = segments * (perSegment / 32 + perSegment / 1024 + perSegment / 32_768)
            return requests(tails: seconds, merged: merged, segments: segments, truncations: segments, heads: seconds / 10, removed: [seconds + merged])
        }
    }

    @Test(arguments: [true, false]) func requestsAreThoseOfTheFormulaAndNoneIsAListing(verifies: Bool) async throws {
        try await withTemporaryDirectory { scratch in
            let server = try FaultServer(verifies ? .ideal : [.collections, .move, .propfind, .ranges]) { _ in .store }
            defer { server.stop() }
            var http = HTTPSettings()
            http.proxy = ""
            let store = try HTTPStore(base: "\(server.url)/base", settings: http)
            let shipped = try ShippedByTheClock(scratch, to: store, segmentSize: 40_960, bytesPerSecond: 1000)
            var quiet = 0
            try await shipped.run(seconds: 100, idle: 600, afterWriting: { quiet = server.requests.count }) {
                #expect(server.requests.count == quiet, "ten minutes in which nothing was written")
                let steady = try steadyPart(of: server.requests, statuses: server.statuses, verifies)
                #expect(!steady.contains { $0.method == "PROPFIND" })
                func puts(_ part: String) -> Int { steady.count { $0.method == "PUT" && $0.path.contains(part) } }
                let (tails, heads, segments) = (puts("/0/"), puts("/heads/"), puts("/segments/"))
                let merged = puts("/tail/") - tails
                #expect((97...100).contains(tails) && segments == 2 && merged == 2 && (9...14).contains(heads))
                // Every tail of an archived segment that was put, and nothing else.
                let starts = steady.filter { $0.method == "PUT" && $0.path.contains("/tail/") }.compactMap { Int($0.path.split(separator: "/").last?.prefix(20) ?? "") }
                let removed = (0..<segments).map { segment in starts.count { $0 / 40_960 == segment } }
                #expect(steady.count { $0.method == "DELETE" } == removed.reduce(0, +))
                let expected = Formula(verifies: verifies).requests(
                    tails: tails, merged: merged, segments: segments, truncations: segments - 1, heads: heads, removed: removed)
                let byKind = Dictionary(grouping: steady) { "\($0.method) \($0.path.split(separator: "/").dropFirst(2).first ?? "")" }.mapValues(\.count)
                #expect(steady.count == expected, "\(byKind), \(tails) tails, \(merged) merged, \(heads) heads, \(removed) removed")
            }
        }
    }

    /// From the first tail on, without the making of collections and the PUTs that were refused for want of them: each collection is made once.
    private func steadyPart(of requests: [FaultServer.Request], statuses: [Int: Int], _ verifies: Bool) throws -> [FaultServer.Request] {
        let all = requests.filter { !$0.path.contains("/.probe/") }
        let first = try #require(all.firstIndex { $0.method == "PUT" && $0.path.contains("/tail/") })
        // It was asked for just before; a head document may have gone out in between.
        let asked = all[..<first].lastIndex { $0.method == "HEAD" && $0.path == all[first].path }
        let steady = Array(all[(verifies ? first : try #require(asked))...])
        return steady.filter { $0.method != "MKCOL" && !($0.method == "PUT" && statuses[$0.number] == 409) }
    }

    @Test func theDocumentedRequestsOfADayAreTheFormulas() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(contentsOf: root.appending(path: "docs/operations.md"), encoding: .utf8)
        for verifies in [true, false] {
            let count = Formula(verifies: verifies).perDay(rate: 1000, segmentSize: 16 << 20)
            var digits = String(count)
            for place in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: digits.index(digits.startIndex, offsetBy: place)) }
            #expect(page.contains(digits), "\(digits), verifies: \(verifies)")
        }
    }

    /// A log that is written slowly and shipped often leaves few objects: 32 of a level become one of the next.
    @Test func aSlowLogAtAShortIntervalIsRestoredFromFewObjects() async throws {
        try await withTemporaryDirectory { scratch in
            let store = MemoryObjectStore()
            let shipped = try ShippedByTheClock(scratch, to: store, segmentSize: 65_536, bytesPerSecond: 40)
            try await shipped.run(seconds: 200) {}
            let end = shipped.log.durableLSN
            #expect(store.contents.keys.count { $0.path.contains("/tail/") } > 200)
            let reader = try await ArchiveReader.open(store: store, log: ShippedByTheClock.name)
            let plan = try await Restore(reader).plan()
            #expect(plan.end == end && plan.segments == 0)
            #expect(plan.tails <= 200 / 32 + 31 + 1, "\(plan.tails) objects to fetch")
            #expect(try await Restore(reader).run(into: "\(scratch)/restored").end == end)
        }
    }

    /// A plan is made from two listings; what is restored is asked for once, and nobody is asked for an object's size or date.
    @Test func aRestoreListsTwiceAndAsksForEachObjectOnce() async throws {
        try await withTemporaryDirectory { scratch in
            let store = MemoryObjectStore()
            let shipped = try ShippedByTheClock(scratch, to: store, segmentSize: 4096, bytesPerSecond: 500)
            try await shipped.run(seconds: 60) {}
            // Opening looks over the names of epochs once.
            let reader = try await ArchiveReader.open(store: store, log: ShippedByTheClock.name)
            let before = (get: store.count(of: .get), head: store.count(of: .head), list: store.count(of: .list))
            let plan = try await Restore(reader).plan()
            #expect(plan.segments >= 6)
            let planned = store.count(of: .get)
            _ = try await Restore(reader).run(into: "\(scratch)/restored")
            #expect(store.count(of: .list) == before.list + 4 && store.count(of: .head) == before.head)
            // The beginning of each tail for the plan, and the end; for the restore the same, and each object, and at last a look for another writer.
            let forPlan = planned - before.get
            #expect(forPlan <= plan.tails + 20)
            #expect(store.count(of: .get) - planned == forPlan + plan.links.count + 1)
        }
    }
}
