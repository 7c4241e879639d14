import RingIPAM
import Testing

@Suite("Addresses under crashes, partitions, pauses, old disks and removed nodes")
struct AddressFlawTests {
    @Test("no address is held twice, and none is lost", arguments: 0..<4 as Range<UInt64>)
    func law(seed: UInt64) {
        #expect(AddressWorld.run(seed: seed) == [])
    }

    @Test(
        "each planted mistake breaks the law",
        arguments: [
            IPAMFlaw.assignedBeforeDurable, .releasedBeforeDurable, .quarantineSkipped,
            .duplicateClaimIsOwn, .fenceNotRaised, .bootUnchecked, .oldEraAdopted,
            .reclaimedOnSilence, .drainSkipped, .releasedInUse, .halfPairKept,
        ]
    )
    func caught(flaw: IPAMFlaw) {
        let isCaught = (0..<5 as Range<UInt64>).contains { seed in
            !AddressWorld.run(seed: seed, flaws: [flaw]).isEmpty
        }
        print("FLAW", flaw, isCaught)
        #expect(isCaught, "\(flaw) was not found in 5 seeds")
    }
}
