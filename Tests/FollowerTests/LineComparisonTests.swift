import TestSupport
import Testing
import WAL

@testable import Follower

/// Whether a log can go on along an archive's line, against what the two histories say of every LSN.
@Suite struct LineComparisonTests {
    /// A line that somebody went on with: its table, and whose record begins at each LSN below its end.
    private struct Branch {
        var table: EpochTable
        var end: UInt64
    }

    /// Branches of one log as promotions make them: each copies another up to some LSN, takes in the epochs that were claimed meanwhile, and begins one of its own.
    private func branches(_ random: inout SeededGenerator) -> [Branch] {
        var claimed = [Epoch(number: 1, id: EpochID(rawValue: 1), start: .zero)]
        var branches = [Branch(table: EpochTable(claimed)!, end: UInt64.random(in: 0...20, using: &random))]
        for number in 2...UInt64.random(in: 2...6, using: &random) {
            let parent = branches[Int.random(in: 0..<branches.count, using: &random)]
            let fork = UInt64.random(in: 0...parent.end, using: &random)
            var table = EpochTable(parent.table.epochs.filter { $0.start.rawValue <= fork })!
            // Beside the archive, where numbers are nobody's.
            let isAlone = Int.random(in: 0..<4, using: &random) == 0
            if isAlone {
                table.begin(Epoch(number: table.current.number + 1, id: EpochID(rawValue: 100 + number), start: LSN(fork)))
            } else {
                claimed.append(Epoch(number: UInt64(claimed.count + 1), id: EpochID(rawValue: number), start: LSN(fork)))
                // Those between were claimed by others, and are none of this history's.
                for other in claimed where other.number > table.current.number { table.begin(Epoch(number: other.number, id: other.id, start: LSN(fork))) }
            }
            branches.append(Branch(table: table, end: fork + UInt64.random(in: 0...10, using: &random)))
        }
        return branches
    }

    /// The least LSN at which the two have records of different epochs, below the end of both.
    private func parting(_ left: Branch, _ right: Branch) -> UInt64? {
        (0..<min(left.end, right.end)).first { left.table.epoch(at: LSN($0)).id != right.table.epoch(at: LSN($0)).id }
    }

    @Test func whereBytesDifferIsNeverPassedOver() {
        for seed in 0..<4000 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            let all = branches(&random)
            for log in all {
                for line in all {
                    let problem = LineComparison.problem(log: log.table, end: LSN(log.end), line: line.table)
                    // A line that the log knows all of is one that it goes on from: where it ends only objects tell.
                    if line.table.epochs.allSatisfy({ log.table.epochs.contains($0) }) { continue }
                    guard let parting = parting(log, line) else { continue }
                    #expect(problem != nil, "seed \(seed): \(log) \(line)")
                    guard let fork = LineComparison.fork(log: log.table, line: line.table) else {
                        Issue.record("seed \(seed): no fork of \(log) and \(line)")
                        continue
                    }
                    #expect(fork.rawValue <= parting, "seed \(seed): \(log) \(line)")
                }
            }
        }
    }

    /// Nothing is cut off that both have, but for what an epoch without a record took with it.
    @Test func whatFollowsALineHasNoProblem() {
        for seed in 0..<2000 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            for line in branches(&random) {
                let end = UInt64.random(in: 0...line.end, using: &random)
                let replica = EpochTable(line.table.epochs.filter { $0.start.rawValue <= end })!
                #expect(LineComparison.problem(log: replica, end: LSN(end), line: line.table) == nil, "seed \(seed)")
            }
        }
    }
}
