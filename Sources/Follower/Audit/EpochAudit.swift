import Archive
import WAL

/// Has one epoch's objects taken into its chain, and every hole looked at a second time before it is called one. Not for two tasks at once.
struct EpochAudit {
    private(set) var chain: AuditChain
    private var second: SecondLook
    /// What second looks have found.
    private(set) var found: [AuditChain.Content] = []

    init(chain: AuditChain, second: SecondLook) {
        self.chain = chain
        self.second = second
    }

    mutating func take(_ item: ArchiveInventory.Item, _ content: AuditChain.Content) async throws(ArchiveError) -> [AuditFinding] {
        if case .gone = content { second.forget(item.object) }
        var findings: [AuditFinding] = []
        if let start = chain.meeting(item, content) { findings = try await goOn(to: start) }
        return findings + chain.take(item, content)
    }

    /// What is missing behind the last object.
    mutating func finish() async throws(ArchiveError) -> [AuditFinding] { try await goOn(to: nil) }

    private mutating func goOn(to start: LSN?) async throws(ArchiveError) -> [AuditFinding] {
        var findings: [AuditFinding] = []
        while let hole = chain.hole(before: start, &findings) {
            switch try await second.look(at: hole.lowerBound, segmentStarts: chain.segmentStarts) {
            case .object(let item, let content):
                found.append(content.withoutBytes)
                findings += chain.take(item, content)
            case .gap(let gap): chain.learn(gap)
            case .pruned(let objectStart): chain.prune(to: objectStart)
            case .nothing: findings += chain.skip(hole, isListedPast: start != nil)
            }
        }
        return findings
    }
}
