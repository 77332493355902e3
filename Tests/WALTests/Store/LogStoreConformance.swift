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

    /// What had been read is yielded; then, once, that truncation was faster.
    @Test(arguments: StoreKind.allCases)
    func anIterationThatTruncationOvertakesSaysSo(_ kind: StoreKind) throws {
        try kind.run { place in
            let log = try place.open()
            let lsns = try (0..<5000).map { try log.append(sampleRecord($0, count: 300)) }
            try log.sync()
            var iterator = log.iter().makeIterator()
            #expect(try iterator.next()?.get().lsn == .zero)
            let head = try log.truncateBefore(lsns[4900])
            var next = 1
            while let element = iterator.next() {
                switch element {
                case .success(let record):
                    // A store that keeps the bytes of what was truncated may go on with them.
                    #expect(record.lsn == lsns[next])
                    next += 1
                case .failure(let error):
                    #expect(error == .positionLost(head: head))
                    #expect(iterator.next() == nil)
                    next = lsns.count
                }
            }
            #expect(next == lsns.count)
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
            #expect("a pin above durable") { try log.pin("ahead", at: log.endLSN) } throws: { if case .encoding? = $0 as? WALError { true } else { false } }
            for name in ["", "A b", "x.tmp", String(repeating: "x", count: 65)] {
                #expect("a pin's name") { try log.pin(name, at: lsns[60]) } throws: { if case .encoding? = $0 as? WALError { true } else { false } }
            }
            if kind.survivesTheProcess {
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
    func theEndIsCutOffAfterAnyRecordAndTheLogGoesOn(_ kind: StoreKind) throws {
        // Frames within a segment, over several, and ending on a boundary (the last four: 4096 bytes together).
        let sizes = [0, 5, 4000, 67, 12_280, 300, 20_000, 1, 200, 5979, 4088, 1016, 1016, 1016, 1016]
        for kept in sizes.indices {
            try kind.run { place in
                var log = try place.open()
                let lsns = try sizes.indices.map { try log.append(sampleRecord($0, count: sizes[$0])) }
                if kept % 2 == 0 { try log.sync() }
                let end = lsns[kept].advanced(by: UInt64(sizes[kept] + 8))
                try log.truncateAfter(lsns[kept])
                #expect(log.endLSN == end && log.durableLSN == end && log.writtenLSN == end, "after record \(kept)")
                #expect(log.epochs.current == Epoch(number: 2, id: log.epochs.current.id, start: end))
                #expect(log.epochs.current.id != log.epochs.epochs[0].id)
                let expected = (0...kept).map { sampleRecord($0, count: sizes[$0]) }
                #expect(try log.records().map(\.data) == expected, "after record \(kept)")
                let more = (0..<4).map { sampleRecord(100 + $0, count: [3000, 0, 9000, 40][$0]) }
                #expect(try log.append(more[0]) == end)
                for data in more.dropFirst() { try log.append(data) }
                #expect(try log.sync() == log.endLSN)
                for round in 0..<2 {
                    #expect(try log.records().map(\.data) == expected + more, "after record \(kept), round \(round)")
                    try log.close()
                    log = try place.open(.init(verify: .full))
                    #expect(log.epochs.current.number == 2 && log.recoveryReport.bytesDiscarded == 0)
                }
                #expect(try log.iterFrom(end).map { try $0.get().data } == more)
                #expect(try log.truncateBefore(end) == end)
                #expect(try log.records().map(\.data) == more)
                try log.close()
            }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func truncatingTheEndIsRefusedOffRecordsAndAbovePins(_ kind: StoreKind) throws {
        try kind.run { place in
            let log = try place.open()
            #expect(throws: WALError.self, "an empty log has no record to end with") { try log.truncateAfter(.zero) }
            let lsns = try (0..<60).map { try log.append(sampleRecord($0, count: 200)) }
            let end = try log.sync()
            try log.pin("app", at: lsns[30])
            for lsn in [lsns[40].advanced(by: 1), lsns[40].advanced(by: 8), end, end.advanced(by: 500)] {
                #expect("LSN \(lsn)") { try log.truncateAfter(lsn) } throws: {
                    guard case .encoding? = $0 as? WALError else { return false }
                    return true
                }
            }
            #expect("a pin") { try log.truncateAfter(lsns[28]) } throws: {
                guard case .locked? = $0 as? WALError else { return false }
                return true
            }
            #expect(log.endLSN == end && log.epochs.current.number == 1)
            #expect(try log.records().count == 60)
            // The pin is exactly where the log ends then.
            try log.truncateAfter(lsns[29])
            #expect(log.endLSN == lsns[30])
            #expect(try log.truncateBefore(log.endLSN) == lsns[30])
            try log.close()
            #expect(throws: WALError.stopped(cause: .closed)) { try log.truncateAfter(lsns[29]) }
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
