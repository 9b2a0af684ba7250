"""All stories, in the order in which they are made: what fills every list soon comes first."""

from deploy.sandbox.cases.stories import brain, chest, heart, spine_and_skin, tumours, vessels
from deploy.sandbox.cases.story import Story

STORIES: tuple[Story, ...] = (
    tumours.THYROID,
    heart.MITRAL,
    tumours.LOBULAR,
    brain.GLIOMA,
    spine_and_skin.MELANOMA,
    chest.IMMUNOTHERAPY,
    tumours.FERTILITY,
    chest.STAGING,
    heart.VALVE,
    heart.AORTA,
    spine_and_skin.FUSION,
    brain.EPILEPSY,
    vessels.TAKAYASU,
    tumours.PANCREAS,
    brain.HEPATITIS,
    chest.FILM,
    heart.ANTICOAGULATION,
)
