import Testing
import TestSupport
import WAL

/// What a log does whatever it is kept in: one suite over every store.
@Suite struct LogStoreConformance {
    @Test(arguments: StoreKind.allCases)
    func lsnsAreOffsetsOfFrames(_ kind: StoreKind) throws {
        try kind.run { place in
            let log = try place.open()
            #expect(log.isEmpty && log.endLSN == .zero)
            #expect(try log.append([1, 2, 3]) == LSN(0))
            #expect(try log.append([UInt8]()) == LSN(11))
            #expect(try log.append("ab".utf8) == LSN(19))
            #expect(log.endLSN == LSN(29) && log.length == 29 && !log.isEmpty)
            #expect(log.writtenLSN == LSN(29) && log.durableLSN == .zero)
            #expect(try log.sync() == LSN(29))
            #expect(log.durableLSN == LSN(29))
            #expect(try log.records(upTo: .durable).map(\.data) == [[1, 2, 3], [], Array("ab".utf8)])
            try log.close()
        }
    }

    /// Sizes around the segment size, the mapped limit, and far above, in an order that puts frames on and around boundaries.
    @Test(arguments: StoreKind.allCases)
    func recordsOfEverySizeAreFoundAfterReopening(_ kind: StoreKind) throws {
        try kind.run { place in
            let sizes = [
                0, 1, 4088, 0, 4096, 4087, 4089, 4080, 0, 16376, 16377, 20000, 0, 100_000, 5, 8 * 4096 - 8, 8 * 4096 - 7,
                1 << 20, 0, 3,
            ]
            var log = try place.open()
            var lsns: [LSN] = []
            for (number, size) in sizes.enumerated() { lsns.append(try log.append(sampleRecord(number, count: size))) }
            for (before, (lsn, size)) in zip(lsns.dropFirst(), zip(lsns, sizes)) { #expect(before == lsn.advanced(by: UInt64(size + 8))) }
            for round in 0..<3 {
                let records = try log.records(upTo: .written)
                #expect(records.map(\.lsn) == lsns)
                for (number, record) in records.enumerated() { #expect(record.data == sampleRecord(number, count: sizes[number]), "round \(round)") }
                try log.close()
                log = try place.open()
                #expect(log.endLSN == records.last?.endLSN)
                #expect(log.recoveryReport.bytesDiscarded == 0)
            }
            for (number, lsn) in lsns.enumerated() {
                #expect(try log.iterFrom(lsn).map { try $0.get().lsn } == Array(lsns[number...]))
            }
            try log.close()
        }
    }

    @Test(arguments: StoreKind.allCases)
    func everyWayOfFillingABoundaryReopens(_ kind: StoreKind) throws {
        // The last frame ends this many bytes from a boundary; then an empty record, then another.
        for distance in -9...9 {
            try kind.run { place in
                var log = try place.open()
                let size = 2 * 4096 + distance - 8
                try log.append(sampleRecord(1, count: size))
                try log.sync()
                try log.close()
                log = try place.open()
                try log.append([UInt8]())
                try log.append([7])
                try log.close()
                log = try place.open()
                let end = UInt64(size + 8)
                #expect(try log.records().map(\.lsn) == [.zero, LSN(end), LSN(end + 8)], "distance \(distance)")
                #expect(try log.truncateBefore(LSN(end)) == LSN(end))
                try log.close()
                log = try place.open()
                #expect(log.headLSN == LSN(end))
                #expect(try log.records().map(\.lsn) == [LSN(end), LSN(end + 8)], "distance \(distance)")
                try log.close()
            }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func positionsThatAreNoRecordsAreToldApart(_ kind: StoreKind) throws {
        try kind.run { place in
            let log = try place.open()
            let lsns = try (0..<50).map { try log.append(sampleRecord($0, count: 300)) }
            try log.sync()
            #expect(Array(log.iterFrom(log.endLSN)).isEmpty)
            #expect(Array(log.iterFrom(log.endLSN.advanced(by: 1000))).isEmpty)
            let inside = Array(log.iterFrom(lsns[3].advanced(by: 1)))
            guard case .failure(.corruption(let lsn, _)) = inside.first else { Issue.record("\(inside)"); return }
            #expect(lsn == lsns[3].advanced(by: 1) && inside.count == 1)
            let head = try log.truncateBefore(lsns[20])
            #expect(head == lsns[20])
            #expect(Array(log.iterFrom(lsns[3])).map { (try? $0.get())?.lsn } == [nil])
            #expect(throws: WALError.positionLost(head: head)) { try log.iterFrom(lsns[3]).map { try $0.get() } }
            #expect(try log.iterFrom(lsns[3], ifTruncated: .startAtHead).map { try $0.get().lsn } == Array(lsns[20...]))
            try log.close()
        }
    }

    @Test(arguments: StoreKind.allCases)
    func iterationUpToDurableShowsNoMore(_ kind: StoreKind) throws {
        try kind.run { place in
            let log = try place.open()
            try log.appendAndSync([1])
            try log.append([2])
            #expect(try log.records(upTo: .durable).map(\.data) == [[1]])
            #expect(try log.records(upTo: .written).map(\.data) == [[1], [2]])
            try log.close()
        }
    }

    @Test(arguments: StoreKind.allCases)
    func truncationRoundsDownAndNeverPassesPinsOrDurable(_ kind: StoreKind) throws {
        try kind.run { place in
            var log = try place.open()
            let lsns = try (0..<100).map { try log.append(sampleRecord($0, count: 200)) }
            let durable = try log.sync()
            try log.append([9])
            try log.pin("app", at: lsns[40])
            #expect(try log.truncateBefore(lsns[10].advanced(by: 5)) == lsns[10])
            #expect(try log.truncateBefore(lsns[5]) == lsns[10], "the head does not go back")
            #expect(try log.truncateBefore(lsns[60]) == lsns[40])
            #expect(throws: WALError.positionLost(head: lsns[40])) { try log.pin("late", at: lsns[39]) }
            try log.pin("app", at: lsns[50])
            if kind.survivesTheProcess {
                #expect(throws: WALError.self) { try log.pin("ahead", at: log.endLSN) }
                try log.close()
                log = try place.open()
            }
            #expect(try log.truncateBefore(lsns[60]) == lsns[50])
            try log.unpin("app")
            try log.unpin("app")
            #expect(try log.truncateBefore(durable) == durable)
            try log.close()
            log = try place.open()
            #expect(log.headLSN == durable)
            #expect(try log.append([1]) >= durable)
            try log.close()
        }
    }

    @Test(arguments: StoreKind.allCases)
    func tooLargeRecordsChangeNothingAndTheMaximumIsOnlyRaised(_ kind: StoreKind) throws {
        try kind.run { place in
            var log = try place.open(LogConfiguration(maxRecordSize: 100))
            #expect(throws: WALError.recordTooLarge(count: 101, max: 100)) { try log.append([UInt8](repeating: 1, count: 101)) }
            #expect(log.endLSN == .zero)
            try log.append([UInt8](repeating: 1, count: 100))
            try log.close()
            #expect(throws: WALError.parameterMismatch(parameter: "maximum record size", stored: "100", requested: "99")) {
                _ = try place.open(LogConfiguration(maxRecordSize: 99))
            }
            log = try place.open(LogConfiguration(maxRecordSize: 5000))
            try log.append([UInt8](repeating: 2, count: 5000))
            try log.close()
            log = try place.open()
            #expect(log.maxRecordSize == 5000)
            #expect(try log.records().map(\.count) == [100, 5000])
            try log.close()
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aClosedLogRefusesWithoutHarm(_ kind: StoreKind) throws {
        try kind.run { place in
            let log = try place.open()
            try log.append([1])
            try log.close()
            try log.close()
            let closed = WALError.stopped(cause: .closed)
            #expect(throws: closed) { try log.append([2]) }
            #expect(throws: closed) { try log.append([UInt8](repeating: 2, count: 50_000)) }
            #expect(throws: closed) { try log.truncateBefore(.zero) }
            #expect(throws: closed) { try log.pin("a", at: .zero) }
            #expect(throws: closed) { try log.iter().map { try $0.get() } }
            #expect(try log.sync() == LSN(9), "all that there is was made durable by close")
        }
    }

    @Test(arguments: StoreKind.allCases)
    func theSecondOpenerIsRefusedAndTheFirstUndisturbed(_ kind: StoreKind) throws {
        try kind.run { place in
            let log = try place.open()
            try log.append([1])
            for _ in 0..<3 {
                do {
                    _ = try place.open()
                    Issue.record("opened twice")
                } catch WALError.locked {
                    // As it should be.
                }
            }
            try log.append([2])
            try log.close()
            let again = try place.open()
            #expect(try again.records().map(\.data) == [[1], [2]])
            try again.close()
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aSequenceKeepsItsLogOpen(_ kind: StoreKind) throws {
        try kind.run { place in
            let sequence = try {
                let log = try place.open()
                for number in 0..<100 { try log.append(sampleRecord(number, count: 100)) }
                try log.sync()
                return log.iter()
            }()
            #expect(try sequence.map { try $0.get().data } == (0..<100).map { sampleRecord($0, count: 100) })
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aLogDroppedWithoutCloseLetsGo(_ kind: StoreKind) throws {
        try kind.run { place in
            for round in 0..<3 {
                let log = try place.open()
                #expect(try log.records().count == round)
                try log.appendAndSync([UInt8(round)])
            }
            let log = try place.open()
            #expect(try log.records().count == 3)
            try log.close()
        }
    }
}
