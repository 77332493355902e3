import Foundation
import Testing
import TestSupport
@testable import WAL

/// A log whose directory is moved or removed while it is open: no damage is claimed, and whatever takes its place is left alone.
@Suite struct MovedDirectoryTests {
    private enum Fate: CaseIterable { case removed, moved, replacedByALog, replacedByADirectory }

    private func contents(_ directory: String) throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        for name in try LinuxFileSystem().list(directory) where try LinuxFileSystem().status(directory + "/" + name)?.kind == .regular {
            found[name] = Array(try Data(contentsOf: URL(filePath: directory + "/" + name)))
        }
        return found
    }

    /// Of every call: what it throws is no claim of damage, and what is at the path stays as it was.
    @Test(arguments: Fate.allCases) private func noDamageIsClaimedAndNothingElseIsTouched(_ fate: Fate) throws {
        try withTemporaryDirectory { place in
            let directory = place + "/log"
            let log = try SegmentedLog.open(directory: directory, segmentSize: 4096, configuration: .deterministic)
            let lsns = try (0..<60).map { try log.append(sampleRecord($0, count: 200)) }
            try log.sync()
            let reader = try LogReader.open(directory: directory)
            let sidecar = try LogSidecar.attach(directory: directory)
            if fate == .removed {
                try FileManager.default.removeItem(atPath: directory)
            } else {
                try FileManager.default.moveItem(atPath: directory, toPath: place + "/moved")
            }
            if fate == .replacedByALog {
                let other = try SegmentedLog.open(directory: directory, segmentSize: 4096)
                for number in 0..<100 { try other.append(sampleRecord(number, count: 200)) }
                try other.close()
            } else if fate == .replacedByADirectory {
                try LinuxFileSystem().makeDirectory(directory)
            }
            let before = fate == .replacedByALog || fate == .replacedByADirectory ? try contents(directory) : [:]
            let calls: [(String, () throws -> Void)] = [
                ("iter", { for element in log.iter() { _ = try element.get() } }),
                ("iterFrom", { for element in log.iterFrom(lsns[50]) { _ = try element.get() } }),
                ("reader", { for element in reader.iterFrom(lsns[10]) { _ = try element.get() } }),
                ("range", { _ = try reader.verifiedRange(lsns[3]..<lsns[40]) }),
                ("boundary", { _ = try reader.recordBoundary(atOrBelow: lsns[40].advanced(by: 5)) }),
                ("truncateAfter", { try log.truncateAfter(lsns[30]) }), ("truncateBefore", { try log.truncateBefore(lsns[30]) }),
                ("pin", { try log.pin("a", at: lsns[30]) }), ("unpin", { try log.unpin("a") }),
                ("sidecar", { try sidecar.truncateBefore(lsns[30]) }),
                ("slot", { _ = try sidecar.takeSlot("d-0") { SlotState(kind: .destination, logID: log.logID, position: .zero, epoch: log.epochs.current.id) } }),
                ("append", { for number in 0..<100 { try log.append(sampleRecord(number, count: 200)) } }),
                ("large", { try log.append(sampleRecord(1, count: 60_000)) }),
            ]
            for (name, call) in calls {
                do {
                    try call()
                    Issue.record("\(fate), \(name): nothing is thrown")
                } catch let error as WALError {
                    switch error {
                    case .io, .notALog: break
                    default: Issue.record("\(fate), \(name): \(error)")
                    }
                }
            }
            if fate == .replacedByALog || fate == .replacedByADirectory { #expect(try contents(directory) == before, "\(fate)") }
            sidecar.detach()
            reader.close()
            if fate == .moved {
                // Moved back it is the log that it was.
                try FileManager.default.moveItem(atPath: place + "/moved", toPath: directory)
                try log.append(sampleRecord(1, count: 60_000))
                try log.sync()
                #expect(try log.truncateBefore(lsns[30]) == lsns[30])
                try log.close()
                let again = try SegmentedLog.open(directory: directory, configuration: .init(verify: .full))
                #expect(try again.records().first?.lsn == lsns[30])
                try again.close()
            } else {
                // Its facts are not written beside somebody who holds the maintenance lock where the log is now; and no lock is made in a strange place.
                #expect { try log.close() } throws: { ($0 as? WALError)?.isNotALog ?? false }
                if fate == .replacedByALog || fate == .replacedByADirectory { #expect(try contents(directory) == before, "\(fate)") }
                if fate == .replacedByALog {
                    let other = try SegmentedLog.open(directory: directory, configuration: .init(verify: .full))
                    #expect(try other.records().count == 100)
                    try other.close()
                }
            }
        }
    }

    @Test func aFileThatIsGoneIsNoDamage() throws {
        for replaces in [false, true] {
            try withTemporaryDirectory { place in
                let log = try FileLog.open(path: place + "/log")
                try log.append([1])
                try log.sync()
                for name in try LinuxFileSystem().list(place) { try FileManager.default.removeItem(atPath: place + "/" + name) }
                if replaces {
                    let other = try FileLog.open(path: place + "/log")
                    for number in 0..<10 { try other.append(sampleRecord(number, count: 100)) }
                    try other.close()
                }
                for element in log.iter() {
                    switch element {
                    case .failure(.io), .failure(.notALog): break
                    default: Issue.record("\(element)")
                    }
                }
                try? log.close()
            }
        }
    }

    /// A file alone that is missing from a directory which is still there is damage.
    @Test func aSegmentThatIsMissingFromItsDirectoryIsDamage() throws {
        let fixture = LogFixture()
        let lsns = try fixture.fill(closing: false)
        let reader = try LogReader.open(directory: "/log", fileSystem: fixture.machine, time: SimulatedTimeSource())
        try fixture.machine.unlink(fixture.segment(1))
        let elements = Array(reader.iter())
        guard case .failure(.corruption(let lsn, _)) = elements.last else { Issue.record("\(elements.count)"); return }
        #expect(lsn.rawValue / 4096 <= 1 && elements.count < lsns.count)
        reader.close()
    }
}
