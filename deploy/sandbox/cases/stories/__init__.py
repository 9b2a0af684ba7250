"""All stories, in the order in which they are made: what fills every list soon comes first."""

from deploy.sandbox.cases.stories import brain, chest, heart
from deploy.sandbox.cases.story import Story

STORIES: tuple[Story, ...] = (
    heart.MITRAL,
    brain.GLIOMA,
    chest.STAGING,
    brain.HEPATITIS,
    chest.FILM,
    chest.IMMUNOTHERAPY,
    heart.ANTICOAGULATION,
)
