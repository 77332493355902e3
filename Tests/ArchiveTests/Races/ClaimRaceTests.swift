import Archive
import Foundation
import Synchronization
import TestSupport
import Testing
import WAL

/// Rivals for one epoch, in every order of their requests, and with everything that can happen to one: never two owners that both go on.
///
/// `WALSHIP_RACES` multiplies the rounds.
@Suite struct ClaimRaceTests {
    static let everyManner: [RaceStage.Manners] = [[], [.conditions], [.collections], [.conditions, .collections]]
    static let factor = ProcessInfo.processInfo.environment["WALSHIP_RACES"].flatMap { Int($0) } ?? 1
    private let layout = Layout(log: LogName("log")!)

    /// Chosen by a seed: mostly answers, now and then a fault.
    private struct Seeded: RaceChooser {
        var random: SeededGenerator
        mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }
    }

    private struct Result {
        var won = 0
        /// Rivals that counted something as archived.
        var counted: Set<Int> = []
        var counts = 0
        /// Who the claim names in the end; nil for nobody.
        var named: UInt64?
    }

    private final class Tally: Sendable {
        let won = Mutex(0)
        let counted = Mutex<[Int]>([])
    }

    /// What a shipper does, as far as rivals are concerned: claims, begins the epoch, uploads, and counts after a look.
    private func compete(_ store: RaceStore, _ tally: Tally, goesOn: Int) async throws(ArchiveError) {
        let epoch = EpochName(number: 1, id: EpochID(rawValue: UInt64(store.rival + 1)))
        let claims = Claims(store: store, layout: layout, settle: 1, patience: { SamplePatience(attemptsLeft: 5) }, sleep: store.sleep)
        guard try await claims.claim(epoch, host: "", time: 0) == .won else { return }
        tally.won.withLock { $0 += 1 }
        guard goesOn > 0, try await claims.look(epoch) == .ours else { return }
        let start = StartDocument(parent: nil, epochs: [.init(epoch: epoch, fork: .zero, start: .zero)])
        let key = layout.start(1)
        let bytes = try start.encoded(for: key)
        try await retrying { () throws(ArchiveError) in
            _ = try await store.create(key, bytes)
            if try await store.get(key, range: nil, limit: 1 << 16) != bytes { throw ArchiveError(.diverged, "another's start") }
        }
        for round in 0..<goesOn {
            try await retrying { () throws(ArchiveError) in
                _ = try await store.create(layout.segment(epoch, start: LSN(UInt64(round) * 4096)), [1])
            }
            guard try await claims.look(epoch) == .ours else { return }
            tally.counted.withLock { $0.append(store.rival) }
        }
    }

    private func retrying(_ body: () async throws(ArchiveError) -> Void) async throws(ArchiveError) {
        var patience = SamplePatience(attemptsLeft: 5)
        while true {
            do throws(ArchiveError) {
                return try await body()
            } catch where error.isRetryable {
                try await patience.wait(after: error)
            }
        }
    }

    private func race(
        _ manners: RaceStage.Manners, rivals: Int, isBounded: Bool, faultsMax: Int, faultEvery: Int = 1, goesOn: Int, by chooser: inout some RaceChooser
    ) async throws -> Result {
        let stage = RaceStage(manners, rivals: rivals, prize: layout.claim(1))
        let tally = Tally()
        let tasks = (0..<rivals).map { rival in
            Task {
                // However it ends, what matters is what it counted.
                try? await compete(RaceStore(stage: stage, rival: rival), tally, goesOn: goesOn)
                stage.leave(rival)
            }
        }
        var faults = 0
        while true {
            await stage.quiet()
            let mayFail = faults < faultsMax && (faultEvery == 1 || chooser.pick(faultEvery) == 0)
            let moves = stage.moves(isBounded: isBounded, faults: mayFail)
            if moves.isEmpty { break }
            let move = moves[chooser.pick(moves.count)]
            if case .request(_, let fate) = move, fate != .answered { faults += 1 }
            stage.make(move)
        }
        for task in tasks { await task.value }
        var result = Result(won: tally.won.withLock { $0 })
        let counted = tally.counted.withLock { $0 }
        (result.counted, result.counts) = (Set(counted), counted.count)
        let key = layout.claim(1)
        result.named = stage.objects[key].flatMap { try? ClaimDocument(decoding: $0, key: key).epoch.id.rawValue }
        return result
    }

    /// Every order of the requests of two, nothing failing: one wins, and the claim names it.
    @Test(arguments: everyManner) func inEveryOrderOneOfTwoWins(manners: RaceStage.Manners) async throws {
        var chooser = EveryChoice()
        var runs = 0
        repeat {
            let result = try await race(manners, rivals: 2, isBounded: true, faultsMax: 0, goesOn: 0, by: &chooser)
            #expect(result.won == 1 && result.named != nil, "run \(runs): \(result)")
            runs += 1
        } while chooser.next()
        #expect(runs >= 20, "\(runs) orders")
    }

    /// The same, with everything that can happen to one request: a lost reply, a late arrival, a death before, after or inside it.
    @Test(arguments: everyManner) func withAFaultAnywhereNoTwoWin(manners: RaceStage.Manners) async throws {
        var chooser = EveryChoice()
        var runs = 0
        // All of them take minutes: what is chosen first differs from run to run in the last choices only, so a seed skips ahead.
        var random = SeededGenerator(seed: 11)
        let limit = 1500 * Self.factor
        repeat {
            let result = try await race(manners, rivals: 2, isBounded: true, faultsMax: 1, goesOn: 0, by: &chooser)
            #expect(result.won <= 1, "run \(runs): \(result)")
            runs += 1
        } while chooser.next() && runs < limit
        for round in 0..<limit {
            var seeded = Seeded(random: SeededGenerator(seed: random.next()))
            let result = try await race(manners, rivals: 2, isBounded: true, faultsMax: 2, faultEvery: 4, goesOn: 0, by: &seeded)
            #expect(result.won <= 1, "round \(round): \(result)")
        }
    }

    /// Requests may come as late as they like here, so two can believe that they have won. Never do two count anything.
    @Test(arguments: everyManner, [2, 8]) func howeverLateARequestComesTwoNeverBothGoOn(manners: RaceStage.Manners, rivals: Int) async throws {
        let rounds = (rivals == 2 ? 1000 : 150) * Self.factor
        var counted = 0
        for seed in 0..<UInt64(rounds) {
            var chooser = Seeded(random: SeededGenerator(seed: seed))
            let result = try await race(
                manners, rivals: rivals, isBounded: false, faultsMax: rivals, faultEvery: 5, goesOn: 2, by: &chooser)
            #expect(result.counted.count <= 1, "seed \(seed): \(result)")
            counted += result.counted.count
        }
        // The rounds mean something: somebody gets through, as a rule.
        #expect(counted > rounds / 10, "\(counted) of \(rounds)")
    }

    @Test(arguments: everyManner) func ofEightNoTwoWin(manners: RaceStage.Manners) async throws {
        for seed in 0..<UInt64(150 * Self.factor) {
            var chooser = Seeded(random: SeededGenerator(seed: seed))
            let result = try await race(manners, rivals: 8, isBounded: true, faultsMax: 3, faultEvery: 6, goesOn: 1, by: &chooser)
            #expect(result.won <= 1 && result.counted.count <= 1, "seed \(seed): \(result)")
        }
    }

    /// The bench finds what it is there for: a claimer that does not wait.
    @Test func aClaimerThatDoesNotWaitIsFound() async throws {
        var chooser = EveryChoice()
        var found = false
        repeat {
            // Unbounded: its wait may end before the rival's request has landed.
            found = try await race([], rivals: 2, isBounded: false, faultsMax: 0, goesOn: 0, by: &chooser).won == 2
        } while !found && chooser.next()
        #expect(found)
    }
}
