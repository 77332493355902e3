import Archive
import Foundation
import TestSupport
import Testing

/// Shipping through everything that a network and a server can do wrong, to real servers.
///
/// `make storm` runs more of it: `make storm FIRST=1 SEEDS=100`.
@Suite struct FaultScriptTests {
    private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }
    static let isLong = number("WALSHIP_STORM_SEEDS") != nil
    /// One for each server, where there is no time.
    private static func seeds(_ turn: Int) -> [UInt64] {
        guard let count = number("WALSHIP_STORM_SEEDS") else { return [UInt64(turn + 1)] }
        let first = number("WALSHIP_STORM_FIRST") ?? 1
        return (first..<first + count).map { UInt64($0) }
    }

    /// Without time, every script before one of the servers: the `turn`-th of three.
    private func play(_ target: FaultTarget, turn: Int) async throws {
        let capabilities = try await target.store("probe").probe(prefix: ObjectKey("orders/.probe"))
        for (index, script) in FaultScript.named.enumerated() where Self.isLong || index % 3 == turn {
            await play(target, script, seed: 1, capabilities)
        }
        for seed in Self.seeds(turn) { await play(target, .storm(seed), seed: seed, capabilities) }
    }

    private func play(_ target: FaultTarget, _ script: FaultScript, seed: UInt64, _ capabilities: StoreCapabilities) async {
        do {
            let result = try await FaultRun.run(script, seed: seed, on: target, capabilities: capabilities)
            #expect(result.objects > 10, "\(script.name) before \(target.name)")
        } catch {
            Issue.record("\(script.name) before \(target.name): \(error); to see it again: make storm FIRST=\(seed) SEEDS=1")
        }
    }

    @Test func noFaultBeforeNginxLosesOrReplacesAnything() async throws { try await play(.nginx(), turn: 0) }

    @Test func noFaultBeforeLighttpdLosesOrReplacesAnything() async throws { try await play(.lighttpd(), turn: 1) }

    @Test func noFaultBeforeSeaweedFSLosesOrReplacesAnything() async throws { try await play(.seaweed(), turn: 2) }

    /// The check notices what it is there for: a shipper that believes what it is told loses objects, and one that does not look replaces them.
    @Test(arguments: CarelessStore.Fault.allCases) func aPlantedBugIsFound(_ fault: CarelessStore.Fault) async throws {
        let target = try await FaultTarget.nginx()
        let capabilities = try await target.store("probe").probe(prefix: ObjectKey("orders/.probe"))
        let script = try #require(FaultScript.named.first { $0.name == fault.script })
        await #expect(throws: FaultRun.Broken.self) {
            try await FaultRun.run(script, seed: 1, on: target, capabilities: capabilities) { CarelessStore($0, fault) }
        }
    }
}
