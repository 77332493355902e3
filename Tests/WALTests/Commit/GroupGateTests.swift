import Testing
@testable import WAL

/// The gate alone, on one thread: what has happened before the wait needs no waiting.
@Suite struct GroupGateTests {
    @Test func aFailureStays() {
        let gate = GroupGate()
        gate.end(1)
        gate.fail()
        gate.end(2)
        for group in [2, 3, 1000] as [UInt64] {
            guard case .failed = gate.wait(group, mayLead: true) else {
                Issue.record("group \(group) does not hear of the failure")
                return
            }
        }
    }

    @Test func groupsEndInOrderAndALateRequestToLeadDoesNotHideALaterOne() {
        let gate = GroupGate()
        gate.ask(3)
        gate.ask(2)
        guard case .asked = gate.wait(3, mayLead: true) else {
            Issue.record("the request was forgotten")
            return
        }
        gate.end(3)
        for group in [1, 2, 3] as [UInt64] {
            guard case .over = gate.wait(group, mayLead: false) else {
                Issue.record("group \(group) is over")
                return
            }
        }
    }
}
