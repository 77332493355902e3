import Testing
@testable import WAL

/// The decision tables of opening, over all their inputs.
@Suite struct RecoveryTableTests {
    private static let bools = [false, true]

    private func everyTail(_ body: (TailEvidence) -> Void) {
        for stop in TailEvidence.Stop.allCases {
            for reach in TailEvidence.Reach.allCases {
                for bits in 0..<64 {
                    body(
                        TailEvidence(
                            stop: stop, reach: reach, hasStrayBytes: bits & 1 != 0, isSegmentMissing: bits & 2 != 0,
                            isEpochUnknown: bits & 4 != 0, isTruncationUnfinished: bits & 8 != 0, isCopied: bits & 16 != 0,
                            isReplica: bits & 32 != 0))
                }
            }
        }
    }

    @Test func whatIsChangedIsOnlyWhatMayBe() {
        everyTail { evidence in
            let decision = TailDecision.decide(evidence)
            let changes: Bool
            switch decision {
            case .ready, .cut, .finishTruncation: changes = true
            case .readOnly, .refuse: changes = false
            }
            // Each of these alone forbids any change.
            if evidence.stop == .readError || evidence.reach == .belowFloor || evidence.isSegmentMissing
                || evidence.isEpochUnknown || evidence.isCopied
            {
                #expect(!changes, "\(evidence)")
            }
            if evidence.stop == .readError { #expect(decision == .refuse(.readError), "\(evidence)") }
            if evidence.reach == .belowFloor || evidence.isSegmentMissing || evidence.isEpochUnknown {
                guard case .refuse = decision else { Issue.record("\(evidence): \(decision)"); return }
            }
            if case .refuse(.copiedWhileLive) = decision { #expect(evidence.isCopied, "\(evidence)") }
            if case .finishTruncation = decision { #expect(evidence.isTruncationUnfinished, "\(evidence)") }
            if case .cut(let reason) = decision {
                #expect(!evidence.isReplica && !evidence.isTruncationUnfinished, "\(evidence)")
                #expect((reason == nil) == !evidence.hasStrayBytes, "what is dropped is reported: \(evidence)")
            }
            if decision == .ready {
                #expect(evidence.reach == .atFloor && !evidence.hasStrayBytes && !evidence.isReplica, "\(evidence)")
            }
        }
    }

    @Test func theNamedCasesOfATail() {
        let clean = TailEvidence(
            stop: .endOfData, reach: .atFloor, hasStrayBytes: false, isSegmentMissing: false, isEpochUnknown: false,
            isTruncationUnfinished: false, isCopied: false, isReplica: false)
        func decide(_ change: (inout TailEvidence) -> Void) -> TailDecision {
            var evidence = clean
            change(&evidence)
            return .decide(evidence)
        }
        #expect(decide { _ in } == .ready)
        #expect(decide { $0.reach = .aboveFloor } == .cut(nil))
        #expect(decide { $0.stop = .badFrame; $0.hasStrayBytes = true } == .cut(.tornTail))
        #expect(decide { $0.stop = .incompleteBatch; $0.hasStrayBytes = true; $0.reach = .aboveFloor } == .cut(.incompleteBatch))
        #expect(decide { $0.hasStrayBytes = true } == .cut(.strayBytes))
        #expect(decide { $0.stop = .badFrame; $0.reach = .belowFloor } == .refuse(.corruption))
        #expect(decide { $0.reach = .belowFloor } == .refuse(.corruption))
        #expect(decide { $0.isSegmentMissing = true } == .refuse(.missingSegment))
        #expect(decide { $0.isEpochUnknown = true } == .refuse(.staleFacts))
        #expect(decide { $0.stop = .readError } == .refuse(.readError))
        #expect(decide { $0.isTruncationUnfinished = true; $0.hasStrayBytes = true; $0.stop = .badFrame } == .finishTruncation)
        #expect(decide { $0.isTruncationUnfinished = true; $0.reach = .belowFloor } == .refuse(.corruption))
        #expect(decide { $0.isCopied = true; $0.hasStrayBytes = true; $0.stop = .badFrame } == .readOnly)
        #expect(decide { $0.isCopied = true; $0.reach = .belowFloor } == .refuse(.copiedWhileLive))
        #expect(decide { $0.isCopied = true; $0.isSegmentMissing = true } == .refuse(.copiedWhileLive))
        #expect(decide { $0.isReplica = true; $0.reach = .aboveFloor } == .readOnly)
    }

    @Test func admissionOpensOnlyWhatIsOursIntactAndAsked() {
        for place in AdmissionEvidence.Place.allCases {
            for identity in AdmissionEvidence.Identity.allCases {
                for facts in AdmissionEvidence.FactsState.allCases {
                    for parameters in AdmissionEvidence.Parameters.allCases {
                        for isCopied in Self.bools {
                            for isReplica in Self.bools {
                                let evidence = AdmissionEvidence(
                                    place: place, identity: identity, facts: facts, parameters: parameters, isCopied: isCopied,
                                    isReplica: isReplica)
                                let admission = Admission.decide(evidence)
                                #expect((admission == .create) == (place == .vacant), "\(evidence)")
                                guard case .open(let repair, let asReplica) = admission else { continue }
                                #expect(place == .log && identity == .intact && parameters == .agree, "\(evidence)")
                                #expect(facts == .bothCopies || facts == .oneCopy, "\(evidence)")
                                #expect(asReplica == (isCopied || isReplica), "\(evidence)")
                                #expect(repair == (facts == .oneCopy && !isCopied), "a copy stays as it is: \(evidence)")
                            }
                        }
                    }
                }
            }
        }
    }

    @Test func theNamedCasesOfAdmission() {
        func decide(_ change: (inout AdmissionEvidence) -> Void) -> Admission {
            var evidence = AdmissionEvidence(
                place: .log, identity: .intact, facts: .bothCopies, parameters: .agree, isCopied: false, isReplica: false)
            change(&evidence)
            return .decide(evidence)
        }
        #expect(decide { _ in } == .open(repairFacts: false, asReplica: false))
        #expect(decide { $0.facts = .oneCopy } == .open(repairFacts: true, asReplica: false))
        #expect(decide { $0.facts = .neither } == .refuse(.damagedControl))
        #expect(decide { $0.facts = .newer } == .refuse(.newerFormat))
        #expect(decide { $0.identity = .damaged } == .refuse(.damagedControl))
        #expect(decide { $0.identity = .notOurs } == .refuse(.notALog))
        #expect(decide { $0.identity = .newer } == .refuse(.newerFormat))
        #expect(decide { $0.place = .occupied } == .refuse(.notALog))
        #expect(decide { $0.parameters = .segmentSizeDiffers } == .refuse(.parameterMismatch))
        #expect(decide { $0.parameters = .maximumIsSmaller } == .refuse(.parameterMismatch))
        #expect(decide { $0.isCopied = true; $0.facts = .oneCopy } == .open(repairFacts: false, asReplica: true))
    }

    @Test func aMissingWindowIsNoticedFromTheHeadToTheFloor() {
        // Every set of five windows, every head and floor on and beside boundaries, against the definition.
        for mask in 0..<32 {
            let present = (0..<5).filter { mask >> $0 & 1 == 1 }.map(UInt64.init)
            for head in stride(from: UInt64(0), through: 40, by: 5) {
                for floor in stride(from: head, through: 50, by: 5) {
                    let needed = (0..<5).map(UInt64.init).filter { window in
                        let range = window * 10..<(window + 1) * 10
                        // It has bytes that are kept, or the head lies inside it.
                        return range.overlaps(head..<floor) && head < floor || head % 10 != 0 && head / 10 == window
                    }
                    let missing = needed.first { !present.contains($0) }
                    #expect(
                        Recovery.firstMissing(present, head: LSN(head), floor: LSN(floor), windowSize: 10) == missing,
                        "windows \(present), head \(head), floor \(floor)")
                }
            }
        }
    }
}
