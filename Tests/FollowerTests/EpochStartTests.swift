import Archive
import Testing
import WAL

@testable import Follower

@Suite struct EpochStartTests {
    private func entry(_ number: UInt64, fork: UInt64, start: UInt64?) -> StartDocument.Entry {
        StartDocument.Entry(epoch: EpochName(number: number, id: EpochID(rawValue: number)), fork: LSN(fork), start: start.map { LSN($0) })
    }

    private func table(_ starts: [UInt64]) throws -> EpochTable {
        try #require(EpochTable(starts.enumerated().map { Epoch(number: UInt64($0 + 1), id: EpochID(rawValue: UInt64($0 + 1)), start: LSN($1)) }))
    }

    /// An epoch that was forked below has nothing in the new line, but for what it shipped again of its parent, where that had ended in this archive below the fork.
    @Test(arguments: [(450, 480, 450), (450, 450, nil), (480, 450, nil), (500, 480, nil)] as [(UInt64, UInt64, UInt64?)])
    func whatAnEpochShippedOfItsParentStaysItsOwn(began: UInt64, fork: UInt64, kept: UInt64?) throws {
        let parent = StartDocument(parent: entry(1, fork: 0, start: 0).epoch, epochs: [entry(1, fork: 0, start: 0), entry(2, fork: 500, start: began)])
        let made = EpochStart(parent: parent, table: try table([0, fork, fork]), archived: LSN(700), time: 1)
        #expect(made.document.epochs == [entry(1, fork: 0, start: 0), entry(2, fork: fork, start: kept), entry(3, fork: fork, start: fork)])
        let line = try EpochLine(made.document, key: Layout(log: SampleArchive.name).start(3))
        #expect(line.source(at: LSN(fork - 1))?.epoch.number == (kept == nil ? 1 : 2))
        #expect(line.source(at: LSN(fork))?.epoch.number == 3)
    }
}
